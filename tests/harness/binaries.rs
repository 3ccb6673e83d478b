//! The release binaries: tests run what ships, and never what shipped yesterday.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The collector, `agentcheck`.
#[must_use]
pub fn collector() -> PathBuf {
    fresh("agentcheck", "collector")
}

/// The responder, `agentcheck-responder`.
#[must_use]
pub fn responder() -> PathBuf {
    fresh("agentcheck-responder", "responder")
}

/// The workspace's root.
///
/// # Panics
/// Where this package has been moved out of it.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests package is a directory of the workspace")
}

/// Where the release binaries are: `AGENTCHECK_BIN_DIR`, or else `release` in cargo's target directory.
#[must_use]
pub fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("AGENTCHECK_BIN_DIR") {
        return workspace().join(directory);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace().join(target).join("release")
}

fn fresh(binary: &str, package: &str) -> PathBuf {
    let path = directory().join(binary);
    let built = match std::fs::metadata(&path).and_then(|data| data.modified()) {
        Ok(built) => built,
        Err(error) => panic!("run `make build` first: {}: {error}", path.display()),
    };
    let root = workspace();
    for source in [
        root.join("Cargo.toml"),
        root.join("Cargo.lock"),
        root.join("common/Cargo.toml"),
        root.join("common/src"),
        root.join(package).join("Cargo.toml"),
        root.join(package).join("build.rs"),
        root.join(package).join("src"),
    ] {
        if let Some(newer) = newer_than(&source, built) {
            panic!(
                "run `make build` first: {} is older than {}",
                path.display(),
                newer.display()
            );
        }
    }
    path
}

/// The first file at or below `source` that was changed after `built`.
fn newer_than(source: &Path, built: SystemTime) -> Option<PathBuf> {
    let data = std::fs::metadata(source).ok()?;
    if data.is_dir() {
        return std::fs::read_dir(source)
            .expect("sources can be read")
            .find_map(|entry| newer_than(&entry.expect("sources can be listed").path(), built));
    }
    let changed = data.modified().expect("files have a time of change");
    (changed > built).then(|| source.to_owned())
}
