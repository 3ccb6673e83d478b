//! From readings to a verdict, and from a verdict to the schedule in the state file.
//!
//! Pure. Imports the rooms from `render` to `config`.

pub mod decide;
pub mod evaluate;
pub mod observations;
pub mod plan;
