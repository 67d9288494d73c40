//! A tool, as a client is told of it.

use journal::Tier;
use rmcp::model::ToolAnnotations;
use serde_json::Value;

use crate::tools::Tool;

/// Name, doc, schema, and hints of what it may do.
pub(super) fn described(tool: &'static Tool) -> rmcp::model::Tool {
    let Value::Object(schema) = tool.schema() else { unreachable!("a schema is an object") };
    rmcp::model::Tool::new(tool.name, tool.doc, schema).with_annotations(annotations(tool))
}

fn annotations(tool: &Tool) -> ToolAnnotations {
    // A shell may talk to anybody; the others know this system alone.
    let hints = ToolAnnotations::new().open_world(tool.name == "shell");
    if looks_only(tool) {
        return hints.read_only(true);
    }
    let (destroys, may_repeat) = match tool.name {
        "touch" | "make_directory" | "resume_process" => (false, true),
        "submit_report" | "set_priority" | "set_affinity" | "change_mode" | "pause_process" => {
            (tool.name != "submit_report", true)
        }
        _ => (true, false),
    };
    hints.read_only(false).destructive(destroys).idempotent(may_repeat)
}

/// Whether it changes nothing.
fn looks_only(tool: &Tool) -> bool {
    tool.tier == Tier::Introspection || matches!(tool.name, "read_file" | "list_directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::TOOLS;

    #[test]
    fn a_tool_that_may_destroy_says_so() {
        for tool in TOOLS {
            let described = described(tool);
            let hints = described.annotations.as_ref().expect("every tool has hints");
            let reads = hints.read_only_hint.expect("every tool says whether it only reads");
            let destroys = !reads && hints.is_destructive();
            let expected = !matches!(
                tool.name,
                "read_file"
                    | "list_directory"
                    | "submit_report"
                    | "touch"
                    | "make_directory"
                    | "resume_process"
            ) && tool.tier != Tier::Introspection;
            assert_eq!(destroys, expected, "{}", tool.name);
            assert_eq!(described.schema_as_json_value(), tool.schema());
        }
    }
}
