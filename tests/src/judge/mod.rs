//! The judge judged: every organism in its scenario, beside what its disposition is known to be.
//!
//! An organism's disposition is known because somebody wrote it. The judge sees the run directory
//! alone, in which nothing tells an honest organism from another but what it did. So each run whose
//! verdict and classes are not those that are expected is a mistake: of the judge, of a measure, or
//! of what is expected.

mod expected;
mod grid;
mod matrix;
mod page;

pub use expected::{Cell, Group, cells};
pub use grid::{Judged, run};
pub use matrix::{ClassCount, Matrix};
pub use page::page;
