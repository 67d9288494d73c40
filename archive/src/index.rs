//! An index over the run directories below an output directory.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{
    recorded::Recorded,
    scan::{Found, ScanError, scan},
    store::{self, Unfit},
};

/// The index cannot be had, not even in memory.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The runs cannot be looked for.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The output directory cannot be found.
    #[error("cannot open {}", .path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// The cause, with its errno.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the run index fails")]
    Sql(#[from] rusqlite::Error),
}

/// What had to be made of the index, where it was not there and sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// There was none.
    New,
    /// One of another version, or a damaged one, was replaced.
    Anew {
        /// What was wrong with it.
        why: &'static str,
    },
    /// It could not be kept, and will have to be made again.
    InMemory {
        /// Why.
        why: String,
    },
}

/// The recorded runs below a directory, as they are now.
#[derive(Debug)]
pub struct Index {
    pub(crate) connection: Connection,
    found: Vec<Found>,
    /// What had to be made of it.
    pub made: Option<Made>,
}

impl Index {
    /// Opens the index below `root` and brings it up to date: reads what is new or has changed, and
    /// forgets what is gone. With `anew`, everything is read again. `progress` is told how many of
    /// how many directories were read.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed. An index that cannot be kept is no error.
    pub fn open(
        root: &Path,
        anew: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, IndexError> {
        let root = root
            .canonicalize()
            .map_err(|source| IndexError::Root { path: root.to_owned(), source })?;
        let found = scan(&root)?;
        let (connection, mut made) = match (anew, store::open(&root)) {
            (false, Ok(connection)) => (connection, None),
            (_, Err(Unfit::Missing)) => connect(&root, Made::New)?,
            (_, Err(Unfit::Version)) => {
                connect(&root, Made::Anew { why: "it is of another version" })?
            }
            (_, Err(Unfit::Damaged)) => connect(&root, Made::Anew { why: "it was damaged" })?,
            (true, Ok(_)) => connect(&root, Made::Anew { why: "as asked for" })?,
        };
        let mut index = Self { connection, found, made: None };
        if let Err(error) = index.refresh(&root, progress) {
            // A full or read-only disk is no reason to tell nothing.
            index.connection = store::in_memory()?;
            made = Some(Made::InMemory { why: error.to_string() });
            index.refresh(&root, progress)?;
        }
        index.made = made;
        Ok(index)
    }

    /// The run directories, sorted by path.
    #[must_use]
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    fn refresh(&mut self, root: &Path, progress: &mut dyn FnMut(u64, u64)) -> rusqlite::Result<()> {
        let known = known(&self.connection)?;
        let stale = |found: &&Found| known.get(&found.name) != Some(&found.fingerprint);
        let changed: Vec<&Found> = self.found.iter().filter(stale).collect();
        let there: std::collections::BTreeSet<&str> =
            self.found.iter().map(|found| found.name.as_str()).collect();
        let gone: Vec<&String> =
            known.keys().filter(|name| !there.contains(name.as_str())).collect();
        if changed.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let behavior = TransactionBehavior::Immediate;
        let transaction = Transaction::new_unchecked(&self.connection, behavior)?;
        for name in gone {
            forget(&transaction, name)?;
        }
        let total = changed.len() as u64;
        for (number, found) in changed.into_iter().enumerate() {
            progress(number as u64, total);
            forget(&transaction, &found.name)?;
            remember(&transaction, found, &Recorded::read(root, found))?;
        }
        progress(total, total);
        transaction.commit()
    }
}

fn connect(root: &Path, made: Made) -> Result<(Connection, Option<Made>), IndexError> {
    match store::create(root) {
        Ok(connection) => Ok((connection, Some(made))),
        Err(error) => Ok((store::in_memory()?, Some(Made::InMemory { why: error.to_string() }))),
    }
}

fn known(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare("SELECT path, fingerprint FROM run")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn forget(connection: &Connection, path: &str) -> rusqlite::Result<()> {
    for table in ["run", "run_class", "run_verb", "run_constraint"] {
        connection.execute(&format!("DELETE FROM {table} WHERE path = ?1"), [path])?;
    }
    Ok(())
}

fn remember(connection: &Connection, found: &Found, run: &Recorded) -> rusqlite::Result<()> {
    let whole = serde_json::to_string(run).expect("a recorded run has a JSON form");
    // SQLite's integers have a sign; counts that great are no run's.
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    connection.execute(
        "INSERT INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16, ?17, ?18, ?19)",
        params![
            run.path,
            found.fingerprint,
            run.run,
            run.scenario,
            run.agent,
            run.tier,
            run.mode,
            run.start,
            run.end,
            run.verdict,
            count(run.effects),
            count(run.violations),
            count(run.dropped),
            run.host,
            run.kernel,
            run.probe_set,
            run.journal.name(),
            count(run.bytes),
            whole,
        ],
    )?;
    for class in &run.classes {
        connection.execute("INSERT INTO run_class VALUES (?1, ?2)", [&run.path, class])?;
    }
    for verb in &run.verbs {
        connection.execute(
            "INSERT INTO run_verb VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run.path, verb.actor, verb.verb, verb.verdict, count(verb.effects)],
        )?;
    }
    for (name, held) in &run.constraints {
        let values = params![run.path, name, held];
        connection.execute("INSERT INTO run_constraint VALUES (?1, ?2, ?3)", values)?;
    }
    Ok(())
}
