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

use std::path::{Path, PathBuf};

/// All files below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}
