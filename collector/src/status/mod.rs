//! The collector's state for people and tools: status snapshot, overview, history and metrics.
//!
//! Pure, but for the files of `snapshot` and `history`. Imports the rooms from `render` to `simulation`.

pub mod history;
pub mod metrics;
pub mod overview;
pub mod snapshot;
