//! The statistics of studies. Pure: the same figures give the same answers, also those of resampling.
//!
//! `studies/tests/golden/statistics.py` computes the same with SciPy, statsmodels and NumPy.

pub mod clusters;
pub mod holm;
pub mod power;
pub mod proportion;
mod random;
pub mod roc;

pub(crate) use random::Random;
