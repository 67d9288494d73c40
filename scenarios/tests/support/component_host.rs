//! The binary that components re-execute in this crate's tests: `component NAME ARGUMENTS…`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [component, name, rest @ ..] if component == "component" => {
            scenarios::component_main(name, rest)
        }
        _ => ExitCode::from(64),
    }
}
