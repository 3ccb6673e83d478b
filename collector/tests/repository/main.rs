//! The tests of the repository: order of the modules, dependencies and licences, and whether documents, manuals
//! and completions match the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test asserts in the shortest way"
)]

mod documents;
mod generated_files;
mod licences;
mod security;
mod tidy;
