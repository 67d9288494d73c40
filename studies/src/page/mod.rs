//! Pages of a sweep and of monitors compared: self-contained, no network, no script.

mod figures;
mod monitors;
mod plot;
mod rows;
mod sweep;

pub use monitors::monitors;
pub use sweep::{Setting, sweep};
