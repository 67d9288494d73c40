//! The index's file: opened if it can be relied on, made anew if not.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::schema::DDL;

/// Its name in the output directory. Hidden, so that no run is looked for there.
pub(crate) const FILE: &str = ".index.sqlite";

/// `application_id`: `bjix`.
const APPLICATION: i32 = 0x626a_6978;
/// `user_version`: changes with what is remembered of a run, or how it is judged.
const VERSION: i32 = 1;

/// How long another that writes is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no index of before.
pub(crate) enum Unfit {
    /// There is none.
    Missing,
    /// Another version made it.
    Version,
    /// It cannot be relied on.
    Damaged,
}

/// Opens the index below `root`, if it can be relied on.
pub(crate) fn open(root: &Path) -> Result<Connection, Unfit> {
    let path = root.join(FILE);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unfit::Missing),
        Ok(file) if file.is_file() => {}
        _ => return Err(Unfit::Damaged),
    }
    let connection = connect(&path).map_err(|_| Unfit::Damaged)?;
    match pragma(&connection, "application_id") {
        Some(APPLICATION) => {}
        _ => return Err(Unfit::Damaged),
    }
    match pragma(&connection, "user_version") {
        Some(VERSION) => {}
        _ => return Err(Unfit::Version),
    }
    if is_sound(&connection) { Ok(connection) } else { Err(Unfit::Damaged) }
}

/// Makes an empty index below `root`, in the place of whatever has its name there.
pub(crate) fn create(root: &Path) -> io::Result<Connection> {
    let path = root.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // SQLite would let others read it.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let connection = connect(&path).map_err(io::Error::other)?;
    fill(&connection).map_err(io::Error::other)?;
    Ok(connection)
}

/// An empty index that is forgotten afterwards.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    fill(&connection)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // A file that another may have made must not act by being read.
    connection.pragma_update(None, "trusted_schema", false)?;
    // What is lost can be made anew, and no other file is to lie beside the runs.
    connection.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

fn fill(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("BEGIN; {DDL} COMMIT;"))?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)
}

fn pragma(connection: &Connection, name: &str) -> Option<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0)).ok()
}

/// Whether its pages are sound and it holds what this version makes, and nothing else.
fn is_sound(connection: &Connection) -> bool {
    let check = connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
    let expected = in_memory().ok().and_then(|fresh| made(&fresh));
    check.is_ok_and(|check| check == "ok") && made(connection) == expected
}

fn made(connection: &Connection) -> Option<Vec<(String, Option<String>)>> {
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").ok()?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
    rows.collect::<Result<_, _>>().ok()
}
