//! The observer: loads the probes, decodes what they record, journals, counts and responds.
//!
//! It is a process of its own: started by `belljar run` for one run through [`client`] and running
//! [`serve()`], or resident for many ([`Resident`]), so that the probes are loaded once.
//! It knows no agents, tools or scenarios: what a call or a component is, it is told. It decides
//! nothing that the kernel can decide; where the kernel saw only a string, it asks the same table.
#![forbid(unsafe_code)]

pub mod btf;
mod caller;
pub mod canary;
pub mod client;
mod control;
mod epochs;
pub mod exposition;
pub mod gate;
mod http;
pub mod interpret;
mod keeper;
pub mod kernel_maps;
mod kernel_run;
pub mod metrics;
pub mod mounts;
mod object_path;
mod observer;
pub mod probes;
pub mod protocol;
mod questions;
mod respond;
mod serve;
mod session;
pub mod totals;
pub mod watching;

pub use observer::{Observer, ObserverError};
pub use serve::{Event, Resident, ServeError, serve};
