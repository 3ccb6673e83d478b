//! Moving in and finding faults: other agents' configurations (`import`), units for launchers (`generate`),
//! and the checks of an installation (`doctor`).
//!
//! Pure. Imports the rooms from `render` to `status`.

pub mod doctor;
pub mod generate;
pub mod import;
