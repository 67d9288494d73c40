//! The index's views: what `belljar runs query` may ask for. They are a contract; the tables behind
//! them are not.

use std::fmt::Write as _;

/// A view.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// What a row of it is.
    pub doc: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// A column of a view.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type in SQLite.
    pub kind: &'static str,
    /// What it holds, its unit, and when it is null.
    pub doc: &'static str,
}

const fn column(name: &'static str, kind: &'static str, doc: &'static str) -> Column {
    Column { name, kind, doc }
}

const PATH: Column = column("path", "TEXT", "the run directory, below the output directory");
const RUN: Column = column("run", "TEXT", "the run's name; null where no manifest can be read");

/// Every view.
pub const VIEWS: [View; 4] = [
    View {
        name: "runs",
        doc: "A run directory. What comes from the manifest is null where that cannot be read.",
        columns: &[
            PATH,
            RUN,
            column("scenario", "TEXT", "the scenario"),
            column("agent", "TEXT", "`organism:NAME`, `llm:PROVIDER/MODEL` or `command`"),
            column("tier", "INTEGER", "the granted tier, 0 to 5"),
            column("mode", "TEXT", "`observe` or `enforce`"),
            column("start", "TEXT", "when it began: RFC 3339, UTC"),
            column("end", "TEXT", "when it ended; null where it goes on or its supervisor died"),
            column(
                "verdict",
                "TEXT",
                "`clean`, `misaligned` or `invalid`, judged when it was read",
            ),
            column("classes", "TEXT", "the classes, joined by commas; empty where there are none"),
            column("effects", "INTEGER", "effects that were journaled"),
            column("violations", "INTEGER", "the agent's effects with a verdict above `audit`"),
            column("dropped", "INTEGER", "effects that were lost"),
            column("host", "TEXT", "the host's name"),
            column("kernel", "TEXT", "the kernel's release"),
            column("probe_set", "TEXT", "`lsm` or `tracepoint`; null where none was loaded"),
            column(
                "verified",
                "TEXT",
                "`whole`, `altered` or `unsigned`, as `belljar verify` finds",
            ),
            column("bytes", "INTEGER", "what its files hold together"),
        ],
    },
    View {
        name: "classes",
        doc: "A class that a run falls in.",
        columns: &[PATH, RUN, column("class", "TEXT", "the class")],
    },
    View {
        name: "verbs",
        doc: "How many effects of a verb got a verdict, by calls and by components.",
        columns: &[
            PATH,
            RUN,
            column("actor", "TEXT", "`agent` or `component:NAME`"),
            column("verb", "TEXT", "the verb"),
            column("verdict", "TEXT", "what the policy said"),
            column("effects", "INTEGER", "how many"),
        ],
    },
    View {
        name: "constraints",
        doc: "A safety constraint of a run's scenario.",
        columns: &[
            PATH,
            RUN,
            column("name", "TEXT", "the constraint"),
            column("held", "INTEGER", "1 where it held, 0 where it broke, null where nobody knows"),
        ],
    },
];

/// What makes an index. `user_version` changes with it.
pub(crate) const DDL: &str = "
CREATE TABLE run (
    path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, run TEXT, scenario TEXT, agent TEXT,
    tier INTEGER, mode TEXT, start TEXT, \"end\" TEXT, verdict TEXT NOT NULL, effects INTEGER NOT NULL,
    violations INTEGER NOT NULL, dropped INTEGER NOT NULL, host TEXT, kernel TEXT, probe_set TEXT,
    verified TEXT NOT NULL, bytes INTEGER NOT NULL, whole TEXT NOT NULL
) STRICT;
CREATE TABLE run_class (path TEXT NOT NULL, class TEXT NOT NULL) STRICT;
CREATE INDEX run_class_path ON run_class (path);
CREATE TABLE run_verb (
    path TEXT NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL, verdict TEXT NOT NULL,
    effects INTEGER NOT NULL
) STRICT;
CREATE INDEX run_verb_path ON run_verb (path);
CREATE TABLE run_constraint (path TEXT NOT NULL, name TEXT NOT NULL, held INTEGER) STRICT;
CREATE INDEX run_constraint_path ON run_constraint (path);
CREATE VIEW runs AS SELECT
    path, run, scenario, agent, tier, mode, start, \"end\", verdict,
    coalesce((SELECT group_concat(class) FROM run_class WHERE run_class.path = run.path), '') AS classes,
    effects, violations, dropped, host, kernel, probe_set, verified, bytes
    FROM run;
CREATE VIEW classes AS SELECT path, run, class FROM run_class JOIN run USING (path);
CREATE VIEW verbs AS SELECT path, run, actor, verb, run_verb.verdict, run_verb.effects
    FROM run_verb JOIN run USING (path);
CREATE VIEW constraints AS SELECT path, run, name, held FROM run_constraint JOIN run USING (path);
";

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# The run index\n\nWhat `belljar runs query` can ask for: views of SQLite over the recorded runs. Each \
         directory was verified, as far as it can tell by itself, and judged when it was read; it is read again once \
         it has changed. Text that others chose is escaped for terminals.\n\n    belljar runs query \"SELECT \
         scenario, agent, avg(verdict = 'misaligned') FROM runs GROUP BY 1, 2\"\n",
    );
    for view in VIEWS {
        let _ = write!(page, "\n## `{}`\n\n{}\n\n| column | type | holds |\n", view.name, view.doc);
        page.push_str("| --- | --- | --- |\n");
        for Column { name, kind, doc } in view.columns {
            let _ = writeln!(page, "| `{name}` | {kind} | {doc} |");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_view_has_the_columns_that_it_is_said_to_have() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(DDL).unwrap();
        for view in VIEWS {
            let statement = connection.prepare(&format!("SELECT * FROM {}", view.name)).unwrap();
            let expected: Vec<_> = view.columns.iter().map(|column| column.name).collect();
            assert_eq!(statement.column_names().collect::<Vec<_>>(), expected, "{}", view.name);
        }
    }
}
