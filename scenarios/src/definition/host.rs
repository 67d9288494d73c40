//! What a scenario asks of the host: programs that are installed, ports that are free.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::{ParseError, Scenario, error::Flaw};

/// Where programs are looked up, as in a run's own `PATH`.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program is missing that a scenario's components are made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scenario {scenario} needs {program}: apt-get install {package}")]
pub struct MissingProgram {
    /// The scenario.
    pub scenario: String,
    /// The program.
    pub program: String,
    /// The Debian package that brings it.
    pub package: String,
}

impl Scenario {
    /// Looks whether the programs are there that it is made of.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`] for the first that is not.
    pub fn check_programs(&self) -> Result<(), MissingProgram> {
        for required in &self.requires {
            let program = required.program.get_ref();
            let is_there = if let Some((above, below)) = program.split_once("/*/") {
                std::fs::read_dir(above).is_ok_and(|mut all| {
                    all.any(|it| it.is_ok_and(|it| is_there(&it.path().join(below))))
                })
            } else if program.contains('/') {
                is_there(Path::new(program))
            } else {
                DIRECTORIES.iter().any(|directory| is_program(&Path::new(directory).join(program)))
            };
            if !is_there {
                return Err(MissingProgram {
                    scenario: self.name.clone(),
                    program: program.clone(),
                    package: required.package.clone(),
                });
            }
        }
        Ok(())
    }

    /// Looks whether the ports are free that it names by number.
    ///
    /// # Errors
    ///
    /// [`ParseError`] at the first that is not.
    pub fn check_ports(&self) -> Result<(), ParseError> {
        for number in self.ports.iter().filter_map(|port| port.number.as_ref()) {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, *number.get_ref())) {
                let message = format!(
                    "port {} cannot be had: {error}; leave the number out for one that is free",
                    number.get_ref()
                );
                return Err(self.error(Flaw::at(message, number.span())));
            }
        }
        Ok(())
    }
}

fn is_there(path: &Path) -> bool {
    path.is_file()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
