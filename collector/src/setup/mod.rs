//! Installing and finding faults: other agents' configurations (`import`), files for launchers and HAProxy
//! (`generate`), and the checks of an installation (`doctor`).
//!
//! Pure. Imports the rooms from `render` to `status`.

pub mod doctor;
pub mod generate;
pub mod import;
pub mod server_line;
pub mod version_notes;
