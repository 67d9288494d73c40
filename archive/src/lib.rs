//! Recorded runs: an index over their directories, queries, garbage collection.
//!
//! The directories are the truth and the index is a memory of them: a directory that has changed is
//! read again, and an index that is lost, damaged or of another version is made anew. The crate
//! judges nothing itself, that is `scoring`'s part, and knows no live runs: whoever collects garbage
//! says which directories are in use. `belljar runs` calls it.
#![forbid(unsafe_code)]

pub mod gc;
mod index;
mod query;
mod recorded;
mod removal;
mod scan;
pub mod schema;
mod store;

pub use index::{Index, IndexError, Made};
pub use query::{Answer, Filter, QueryError};
pub use recorded::{Journal, Recorded, VerbCount};
pub use removal::RemoveError;
pub use scan::{Found, ScanError, scan};
