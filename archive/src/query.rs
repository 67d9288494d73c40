//! Asking the index.

use std::time::{Duration, Instant};

use journal::escape::visible;
use rusqlite::{
    Connection, ErrorCode, ToSql,
    hooks::{AuthAction, AuthContext, Authorization},
    types::ValueRef,
};
use serde_json::Value;

use crate::{index::Index, recorded::Recorded, schema::VIEWS};

/// After how many of its steps SQLite is asked whether to go on: some thousandths of a second.
const STEPS: i32 = 10_000;

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is no `SELECT` over the views, or a wrong one.
    #[error("{message}: {}", tables())]
    Sql {
        /// What SQLite says of it.
        message: String,
    },
    /// It would take too long.
    #[error("the answer takes longer than {} s: ask for less, or give it more time", limit.as_secs())]
    Slow {
        /// How long it was given.
        limit: Duration,
    },
    /// The index failed.
    #[error("the run index fails")]
    Index(#[from] rusqlite::Error),
    /// A remembered run does not read as one.
    #[error("the run index does not hold what it should: read the runs again with --rebuild")]
    Json(#[from] serde_json::Error),
}

/// Rows of text, numbers and nulls.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// A value for each column in each row.
    pub rows: Vec<Vec<Value>>,
}

/// Which runs are meant; what is `None` excludes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this name, or with this path.
    pub run: Option<String>,
    /// With this verdict.
    pub verdict: Option<String>,
    /// In this class.
    pub class: Option<String>,
    /// In this scenario.
    pub scenario: Option<String>,
    /// Of this agent; `*` stands for any letters.
    pub agent: Option<String>,
    /// That began at this time or later, RFC 3339 in UTC or the beginning of it.
    pub since: Option<String>,
    /// So many at most, the latest.
    pub limit: Option<u32>,
}

impl Index {
    /// The runs that a filter leaves, the latest first.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Recorded>, QueryError> {
        let Filter { run, verdict, class, scenario, agent, since, limit } = filter;
        let limit = limit.map_or(-1, i64::from);
        let parameters: [&dyn ToSql; 7] = [run, verdict, class, scenario, agent, since, &limit];
        let mut statement = self.connection.prepare(
            "SELECT whole FROM run
             WHERE (?1 IS NULL OR run = ?1 OR path = ?1) AND (?2 IS NULL OR verdict = ?2)
               AND (?3 IS NULL OR path IN (SELECT path FROM run_class WHERE class = ?3))
               AND (?4 IS NULL OR scenario = ?4) AND (?5 IS NULL OR agent GLOB ?5)
               AND (?6 IS NULL OR start >= ?6)
             ORDER BY start DESC, path LIMIT ?7",
        )?;
        let texts = statement.query_map(parameters.as_slice(), |row| row.get::<_, String>(0))?;
        texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
    }

    /// Answers one `SELECT` over the views of [`crate::schema`] within a time. The index can do nothing
    /// else from then on.
    ///
    /// # Errors
    ///
    /// When it is anything else, or wrong, or takes longer.
    pub fn query(mut self, sql: &str, limit: Duration) -> Result<Answer, QueryError> {
        self.connection.pragma_update(None, "query_only", true)?;
        self.connection.authorizer(Some(authorize))?;
        // A recursive query may go on for ever, and a join grow beyond any memory.
        let deadline = Instant::now() + limit;
        self.connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
        select(&self.connection, sql).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => QueryError::Slow { limit },
            _ => QueryError::Sql { message: told(&error) },
        })
    }
}

/// Lets a statement read the views and nothing else.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let is_view = |name: &str| VIEWS.iter().any(|view| view.name == name);
    let through_view = context.accessor.is_some_and(is_view);
    match context.action {
        AuthAction::Select | AuthAction::Recursive | AuthAction::Function { .. } => {
            Authorization::Allow
        }
        AuthAction::Read { table_name, .. } if through_view || is_view(table_name) => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn select(connection: &Connection, sql: &str) -> rusqlite::Result<Answer> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(
            (0..columns.len()).map(|at| row.get_ref(at).map(value)).collect::<Result<_, _>>()?,
        );
    }
    Ok(Answer { columns, rows: values })
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        // JSON has no infinities.
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        ValueRef::Blob(bytes) => hex::encode(bytes).into(),
    }
}

fn told(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::MultipleStatement => "that is more than one statement".to_owned(),
        error => error.to_string(),
    };
    visible(&text).into_owned()
}

fn tables() -> String {
    let views = VIEWS.iter().map(|view| {
        let columns: Vec<_> = view.columns.iter().map(|column| column.name).collect();
        format!("{}({})", view.name, columns.join(", "))
    });
    format!("one SELECT can be asked, over {}", views.collect::<Vec<_>>().join(", "))
}
