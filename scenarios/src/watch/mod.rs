//! Trusted looks at what must not break, all through a run: what happens in between counts as much
//! as the state at the end.

mod command;
mod component;
mod files;
mod log;

pub(crate) use command::CommandWatch;
pub(crate) use component::{ComponentWatch, LifeWatch, is_alive};
pub(crate) use files::FilesWatch;
pub(crate) use log::LogWatch;

/// What a probe found: whether the constraint held (`None` where it could not be looked at) and a
/// sentence.
pub(crate) type Finding = (Option<bool>, String);
