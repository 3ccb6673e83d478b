//! Numbers over time: debouncing of failures, derived numbers (rate, EWMA, percentile), the shaping of a
//! weight, and the capacity formula.
//!
//! Pure: each takes its memory and `now`, and returns both. Imports only `render`.

pub mod capacity;
pub mod debounce;
pub mod derive;
pub mod rounding;
pub mod shape;
