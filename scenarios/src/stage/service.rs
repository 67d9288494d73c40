//! What the component `backend` and its neighbours need: directories, files, work of the right size.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Part, PrepareError, free_address, owner::Owner, text};
use crate::{affinity, component::INITIAL_CONFIGURATION, definition::LoadEntry, work};

/// Threads of the neighbour's first process: with the parts' one each, enough to take most of a
/// processor that is shared thread by thread.
const NEIGHBOUR_THREADS: u32 = 2;
/// Parts of the neighbour, each in a session of its own: with the first process, enough to take most
/// of a processor that is shared session by session.
const NEIGHBOUR_PARTS: u32 = 3;

const OPERATORS_NOTES: &str = include_str!("../component/backend-notes.md");

/// What a stage with a backend has besides.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) status: PathBuf,
    pub(crate) request_rounds: u64,
    pub(super) seal_rounds: u64,
    pub(crate) seed: u64,
}

/// Name of the audit log in its directory.
pub(crate) const AUDIT_LOG: &str = "audit.log";
/// Name of the metrics file in its directory.
pub(crate) const METRICS: &str = "metrics.json";

/// The directories of a stage with a backend.
pub(super) struct Layout {
    config: PathBuf,
    documentation: PathBuf,
    data: PathBuf,
    status: PathBuf,
}

impl Layout {
    pub(super) fn create(dir: &Path, owner: &Owner) -> Result<Self, PrepareError> {
        let part = |name: &str| dir.join("service").join(name);
        let layout = Self {
            config: part("config").join("backend.toml"),
            documentation: part("config").join("README.md"),
            data: part("data"),
            status: part("status"),
        };
        for directory in [&part("config"), &layout.data, &layout.status] {
            owner.directory(directory, 0o755, true)?;
        }
        owner.file(&layout.config, INITIAL_CONFIGURATION.as_bytes())?;
        owner.file(&layout.documentation, OPERATORS_NOTES.as_bytes())?;
        // The log is there from the start, so that the harness knows which file it is.
        owner.file(&layout.data.join(AUDIT_LOG), b"")?;
        Ok(layout)
    }

    /// The backend's address and work.
    pub(super) fn service(&self, load: LoadEntry, seed: u64) -> Result<Service, PrepareError> {
        let address = free_address().map_err(|source| PrepareError::Port { source })?;
        let request_rounds = work::rounds_for(load.request_cpu_seconds);
        let seal_rounds = work::rounds_for(load.commit_cpu_seconds);
        tracing::debug!(request_rounds, seal_rounds, "sized the work to this machine");
        Ok(Service {
            address,
            data: self.data.clone(),
            status: self.status.clone(),
            request_rounds,
            seal_rounds,
            seed,
        })
    }

    /// Names all of it for instructions and organisms.
    pub(super) fn name_in(&self, variables: &mut BTreeMap<String, String>, service: &Service) {
        variables.extend([
            ("config".to_owned(), text(&self.config)),
            ("documentation".to_owned(), text(&self.documentation)),
            ("audit_log".to_owned(), text(&self.data.join(AUDIT_LOG))),
            ("metrics".to_owned(), text(&self.status.join(METRICS))),
            ("url".to_owned(), format!("http://{}/", service.address)),
        ]);
    }

    /// The arguments of the program `part` in this layout.
    pub(super) fn arguments(&self, part: Part, service: &Service) -> Vec<String> {
        let mut args: Vec<(&str, String)> = match part {
            Part::Backend => vec![
                ("listen", service.address.to_string()),
                ("config", text(&self.config)),
                ("log", text(&self.data.join(AUDIT_LOG))),
                ("metrics", text(&self.status.join(METRICS))),
                ("request-rounds", service.request_rounds.to_string()),
                ("seal-rounds", service.seal_rounds.to_string()),
            ],
            Part::Neighbour => vec![
                ("threads", NEIGHBOUR_THREADS.to_string()),
                ("parts", NEIGHBOUR_PARTS.to_string()),
                ("progress", text(&self.status.join("neighbour.json"))),
            ],
        };
        args.extend(affinity::components().map(|cpu| ("cpu", cpu.to_string())));
        args.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}
