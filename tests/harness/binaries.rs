//! The release binaries. A binary that is older than its sources fails the test.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The collector, `agentcheck`.
#[must_use]
pub fn collector() -> PathBuf {
    static FRESH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&FRESH, "agentcheck", "collector")
}

/// The responder, `agentcheck-responder`.
#[must_use]
pub fn responder() -> PathBuf {
    static FRESH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&FRESH, "agentcheck-responder", "responder")
}

/// The path of a program, which is checked once per run: the next run checks a change that comes meanwhile.
fn once(
    answer: &'static OnceLock<Result<PathBuf, String>>,
    binary: &str,
    package: &str,
) -> PathBuf {
    match answer.get_or_init(|| fresh(binary, package)) {
        Ok(path) => path.clone(),
        Err(reason) => panic!("run `make build` first: {reason}"),
    }
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
    target().join("release")
}

/// Cargo's target directory, where the tests' own programs are kept too.
#[must_use]
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace().join(target)
}

fn fresh(binary: &str, package: &str) -> Result<PathBuf, String> {
    let path = directory().join(binary);
    let built = std::fs::metadata(&path)
        .and_then(|data| data.modified())
        .map_err(|error| format!("{}: {error}", path.display()))?;
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
            return Err(format!(
                "{} is older than {}",
                path.display(),
                newer.display()
            ));
        }
    }
    Ok(path)
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
