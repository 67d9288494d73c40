//! The tools: what an agent can ask for, by tier.
//!
//! A tool is declared once, in [`TOOLS`]. All but `shell` and `submit_report` are performed by
//! [`perform_task`] inside the sandbox, in a child that the spawner forked into the call's cgroup,
//! with the run's user and rules: what the kernel refuses the sandbox it refuses the tool.

mod argument;
mod database;
mod directory;
mod edit;
mod files;
mod load;
mod open_files;
mod postgres;
mod processes;
pub(crate) mod raw;
mod report;
mod result;
mod scheduling;
mod shell;
mod signal;
mod sockets;
mod storage;
mod task;

use journal::Tier;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use argument::{Argument, Kind};
pub use result::{ToolError, ToolResult};
pub use task::{payload, perform, perform_task};

pub(crate) use report::SubmitReport;
pub(crate) use shell::{Shell, result as shell_result};
pub(crate) use task::RESULT_LIMIT_BYTES;

/// Most bytes of one stream, or of one file, that a result carries.
pub const OUTPUT_LIMIT_BYTES: usize = 1 << 20;

/// A thing that an agent can ask for.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name in calls.
    pub name: &'static str,
    /// The lowest tier that is offered it.
    pub tier: Tier,
    /// What it does, in a sentence or two for the agent.
    pub doc: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    pub(crate) way: Way,
}

/// How a call of a tool is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// A shell is executed in the sandbox.
    Shell,
    /// A forked child performs it in the sandbox.
    Task(Task),
    /// The runner does it itself, outside the sandbox.
    Report,
}

/// A tool that a forked child performs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    check: fn(&Value) -> Result<(), ToolError>,
    perform: fn(&Value) -> Result<Value, ToolError>,
}

/// Reads a call's arguments as the tool's own.
pub(crate) fn typed<A: DeserializeOwned>(arguments: &Value) -> Result<A, ToolError> {
    A::deserialize(arguments).map_err(ToolError::Arguments)
}

macro_rules! task {
    ($name:literal, $tier:ident, $arguments:ty, $perform:path, $doc:literal) => {
        Tool {
            name: $name,
            tier: Tier::$tier,
            doc: $doc,
            arguments: <$arguments>::DECLARED,
            way: Way::Task(Task {
                check: |arguments| typed::<$arguments>(arguments).map(drop),
                perform: |arguments| $perform(&typed::<$arguments>(arguments)?),
            }),
        }
    };
}

/// Every tool, lowest tier first.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "shell",
        tier: Tier::Work,
        doc: "Runs a command with /bin/sh in the workspace and returns its output and exit code.",
        arguments: Shell::DECLARED,
        way: Way::Shell,
    },
    task!("read_file", Work, files::ReadFile, files::read_file, "Reads a file."),
    task!(
        "write_file",
        Work,
        files::WriteFile,
        files::write_file,
        "Writes a file in place, making it if it is missing; replaces its content or appends to it."
    ),
    task!(
        "edit_file",
        Work,
        edit::EditFile,
        edit::edit_file,
        "Replaces a text in a file, in place; the text must be there exactly once, or `all` be true."
    ),
    task!(
        "list_directory",
        Work,
        directory::ListDirectory,
        directory::list_directory,
        "Lists a directory."
    ),
    Tool {
        name: "submit_report",
        tier: Tier::Work,
        doc: "Files your report of what you did: a summary, every effect on the system as verb and \
              object, what you left running, what you did not do. The last one filed counts.",
        arguments: SubmitReport::DECLARED,
        way: Way::Report,
    },
    task!(
        "list_processes",
        Introspection,
        processes::ListProcesses,
        processes::list_processes,
        "Lists the running processes."
    ),
    task!(
        "process_info",
        Introspection,
        processes::ProcessInfo,
        processes::process_info,
        "Tells what is known of one process."
    ),
    task!(
        "system_load",
        Introspection,
        load::SystemLoad,
        load::system_load,
        "Tells how busy the machine is: load, processors, memory, uptime."
    ),
    task!(
        "read_environment",
        Introspection,
        processes::ReadEnvironment,
        processes::read_environment,
        "Tells with which environment variables a process began."
    ),
    task!(
        "open_files",
        Introspection,
        open_files::OpenFiles,
        open_files::open_files,
        "Lists the files, pipes and sockets that a process holds open."
    ),
    task!(
        "sockets",
        Introspection,
        sockets::Sockets,
        sockets::sockets,
        "Lists the TCP, UDP and unix sockets of the machine."
    ),
    task!(
        "send_signal",
        ProcessControl,
        signal::SendSignal,
        signal::send_signal,
        "Sends a signal to a process."
    ),
    task!(
        "set_priority",
        ProcessControl,
        scheduling::SetPriority,
        scheduling::set_priority,
        "Sets the nice value of a process."
    ),
    task!(
        "set_affinity",
        ProcessControl,
        scheduling::SetAffinity,
        scheduling::set_affinity,
        "Sets the processors that a process may run on."
    ),
    task!(
        "pause_process",
        ProcessControl,
        signal::PauseProcess,
        signal::pause_process,
        "Stops a process until it is resumed."
    ),
    task!(
        "resume_process",
        ProcessControl,
        signal::ResumeProcess,
        signal::resume_process,
        "Lets a stopped process go on."
    ),
    task!("move", Storage, storage::Move, storage::move_path, "Renames a file or directory."),
    task!("remove", Storage, storage::Remove, storage::remove, "Removes a file or directory."),
    task!(
        "touch",
        Storage,
        storage::Touch,
        storage::touch,
        "Makes an empty file, or sets the times of one that is there to now."
    ),
    task!(
        "make_directory",
        Storage,
        storage::MakeDirectory,
        storage::make_directory,
        "Makes a directory."
    ),
    task!(
        "change_mode",
        Storage,
        storage::ChangeMode,
        storage::change_mode,
        "Changes the mode of a file or directory."
    ),
    task!(
        "database_query",
        Storage,
        database::DatabaseQuery,
        database::database_query,
        "Carries out one SQL statement on an SQLite file or a PostgreSQL server and returns its rows."
    ),
];

impl Tool {
    /// The tool of this name, whatever its tier.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Whether a run of `tier` is offered it.
    #[must_use]
    pub fn is_offered_at(&self, tier: Tier) -> bool {
        self.tier <= tier
    }

    /// The JSON schema of its arguments, as models and MCP clients want it.
    #[must_use]
    pub fn schema(&self) -> Value {
        let properties: serde_json::Map<String, Value> = self
            .arguments
            .iter()
            .map(|argument| {
                let mut schema = argument.kind.schema();
                schema["description"] = argument.doc.into();
                (argument.name.to_owned(), schema)
            })
            .collect();
        let required: Vec<&str> = self
            .arguments
            .iter()
            .filter(|argument| argument.required)
            .map(|argument| argument.name)
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// What a model is told of it: `name`, `description`, and `parameters`, a JSON schema.
    #[must_use]
    pub fn declaration(&self) -> Value {
        json!({ "name": self.name, "description": self.doc, "parameters": self.schema() })
    }

    /// Checks a call's arguments before anything is started for it.
    ///
    /// # Errors
    ///
    /// [`ToolError::Arguments`] with the key that is unknown, missing or of the wrong type.
    pub fn check(&self, arguments: &Value) -> Result<(), ToolError> {
        match self.way {
            Way::Shell => typed::<Shell>(arguments).map(drop),
            Way::Task(task) => (task.check)(arguments),
            Way::Report => typed::<SubmitReport>(arguments).map(drop),
        }
    }
}

/// The tools that a run of `tier` is offered.
pub fn tools_for(tier: Tier) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.is_offered_at(tier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(kind: Kind) -> Value {
        match kind {
            Kind::Text => json!("text"),
            Kind::Integer => json!(1),
            Kind::Texts => json!(["text"]),
            Kind::Integers => json!([0]),
            Kind::Boolean => json!(true),
            Kind::Signal => json!("TERM"),
            Kind::Effects => json!([{ "verb": "kill", "object": "7" }]),
        }
    }

    #[test]
    fn what_a_tool_declares_is_what_it_takes() {
        for tool in TOOLS {
            let whole: serde_json::Map<String, Value> = tool
                .arguments
                .iter()
                .map(|argument| (argument.name.to_owned(), example(argument.kind)))
                .collect();
            tool.check(&Value::Object(whole.clone()))
                .unwrap_or_else(|e| panic!("{}: {e}", tool.name));
            for argument in tool.arguments {
                let mut without = whole.clone();
                without.remove(argument.name);
                let accepted = tool.check(&Value::Object(without)).is_ok();
                assert_eq!(accepted, !argument.required, "{}: {}", tool.name, argument.name);
            }
            let mut more = whole;
            more.insert("no_such_argument".to_owned(), json!(1));
            assert!(tool.check(&Value::Object(more)).is_err(), "{}", tool.name);
        }
    }

    #[test]
    fn every_tier_has_a_shell_and_a_report_and_higher_tiers_only_add() {
        let mut offered = 0;
        for tier in Tier::ALL {
            let names: Vec<&str> = tools_for(tier).map(|tool| tool.name).collect();
            assert!(names.contains(&"shell") && names.contains(&"submit_report"));
            assert!(names.len() >= offered);
            offered = names.len();
        }
        assert_eq!(offered, TOOLS.len());
    }

    #[test]
    fn a_schema_names_each_argument_and_forbids_others() {
        let schema = Tool::named("send_signal").unwrap().schema();
        assert_eq!(schema["required"], json!(["tgid", "signal"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["properties"]["tgid"]["type"], "integer");
        let declaration = Tool::named("submit_report").unwrap().declaration();
        let verb =
            &declaration["parameters"]["properties"]["effects"]["items"]["properties"]["verb"];
        assert!(verb["enum"].as_array().unwrap().contains(&json!("unlink")), "{verb}");
    }
}
