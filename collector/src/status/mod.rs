//! What is known, for people and tools: the status snapshot, the overview of it, the history, the metrics.
//!
//! Pure, but for the files of `snapshot` and `history`. Imports the rooms from `render` to `simulation`.

pub mod history;
pub mod metrics;
pub mod overview;
pub mod snapshot;
