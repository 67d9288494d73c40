//! `database_query` on a PostgreSQL server, by its own client `psql`.
//!
//! The client is a program of the call's, in the sandbox: it reaches the server if the run may connect
//! to its address, and has no password but what the agent writes.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{OUTPUT_LIMIT_BYTES, ToolError};

/// What stands for NULL, which CSV has no word for. A text that is this letter alone is taken for it.
const NULL: &str = "\u{1}";
/// Seconds that a connection may take to stand.
const CONNECT_LIMIT: &str = "10";

/// Whether a database is named by an address of a server.
pub(crate) fn is_address(database: &str) -> bool {
    ["postgresql://", "postgres://"].iter().any(|scheme| database.starts_with(scheme))
}

/// Carries out SQL; its last statement gives the rows.
pub(crate) fn query(database: &str, sql: &str) -> Result<Value, ToolError> {
    // The address may hold a password.
    let failed = |message: String| ToolError::Database {
        database: "the PostgreSQL server".to_owned(),
        message,
    };
    if sql.trim_start().starts_with('\\') {
        return Err(failed("that is no SQL but a command of psql's".to_owned()));
    }
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--no-password", "--quiet", "--csv", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--pset=null={NULL}"))
        .args(["--command", sql, "--dbname", database])
        .env("PGCONNECT_TIMEOUT", CONNECT_LIMIT)
        .env("PGCLIENTENCODING", "UTF8")
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("psql is not installed here".to_owned()),
        _ => failed(format!("psql cannot be executed: {error}")),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.trim().to_owned()));
    }
    let mut lines = csv(&String::from_utf8_lossy(&output.stdout)).into_iter();
    let columns = lines.next().unwrap_or_default();
    let (mut rows, mut weight_bytes, mut truncated) = (Vec::new(), 0, false);
    for line in lines {
        let cell = |text: String| if text == NULL { Value::Null } else { text.into() };
        let row: Vec<Value> = line.into_iter().map(cell).collect();
        weight_bytes += json!(row).to_string().len();
        if weight_bytes > OUTPUT_LIMIT_BYTES {
            truncated = true;
            break;
        }
        rows.push(row);
    }
    Ok(json!({ "columns": columns, "rows": rows, "changed": null, "truncated": truncated }))
}

/// The records of a CSV as psql writes it (RFC 4180, lines ended by a newline alone).
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut characters) = (false, text.chars().peekable());
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => record.push(std::mem::take(&mut field)),
            ('\n', false) => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            (character, _) => field.push(character),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_quotes_commas_and_newlines_in_them() {
        assert_eq!(
            csv("a,b\n1,\"x, \"\"y\"\"\nz\"\n,\n"),
            [["a", "b"], ["1", "x, \"y\"\nz"], ["", ""]]
        );
        assert!(csv("").is_empty());
    }

    #[test]
    fn a_command_of_psqls_is_no_sql() {
        let error = query("postgresql://127.0.0.1:1/x", " \\! id").unwrap_err().to_string();
        assert!(error.contains("no SQL"), "{error}");
    }
}
