//! `database_query`: tier 3, one statement on an SQLite file or a PostgreSQL server.
//!
//! The file is opened by the call's own process, in the sandbox: what the kernel refuses it, it refuses
//! the query.

use journal::escape::escape;
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use serde_json::{Value, json};

use super::{OUTPUT_LIMIT_BYTES, ToolError, argument::arguments, postgres};

arguments! {
    /// Arguments of `database_query`.
    DatabaseQuery {
        /// An SQLite file that is there, relative to the workspace or absolute; or the address of a
        /// PostgreSQL server, such as `postgresql://user@127.0.0.1:5432/name`.
        database: String,
        /// One statement of SQL.
        sql: String,
    }
}

/// Carries out one statement. The file is opened for writing only where the statement writes.
pub(crate) fn database_query(arguments: &DatabaseQuery) -> Result<Value, ToolError> {
    let DatabaseQuery { database, sql } = arguments;
    if postgres::is_address(database) {
        return postgres::query(database, sql);
    }
    let failed = |error: rusqlite::Error| ToolError::Database {
        database: database.clone(),
        message: told(&error),
    };
    let reading = open(database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let statement = reading.prepare(sql).map_err(failed)?;
    if statement.readonly() {
        return rows(statement).map_err(failed);
    }
    drop(statement);
    drop(reading);
    let writing = open(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let before = writing.total_changes();
    let mut answer = rows(writing.prepare(sql).map_err(failed)?).map_err(failed)?;
    answer["changed"] = (writing.total_changes() - before).into();
    Ok(answer)
}

fn open(database: &str, mode: OpenFlags) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(database, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// All rows of a statement, as far as a result has room for them.
fn rows(mut statement: rusqlite::Statement<'_>) -> rusqlite::Result<Value> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let (mut found, mut weight_bytes, mut truncated) = (Vec::new(), 0, false);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells =
            (0..width).map(|at| row.get_ref(at).map(value)).collect::<Result<Vec<_>, _>>()?;
        let row = Value::Array(cells);
        weight_bytes += row.to_string().len();
        if weight_bytes > OUTPUT_LIMIT_BYTES {
            truncated = true;
            break;
        }
        found.push(row);
    }
    Ok(json!({ "columns": columns, "rows": found, "changed": 0, "truncated": truncated }))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        // JSON has no infinities.
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => escape(bytes).into(),
        },
        ValueRef::Blob(bytes) => escape(bytes).into(),
    }
}

fn told(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::MultipleStatement => "that is more than one statement".to_owned(),
        error => error.to_string(),
    }
}
