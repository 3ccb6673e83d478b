//! A directory for each test: removed when the test passes, kept and named when it fails.

use crate::processes::run;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The directory. Create it before the processes that use it: Rust drops in reverse, so processes end before their
/// files are removed.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new directory under the system's temporary one. Anyone may pass through it, since launchers
    /// start responders as an unprivileged user.
    #[must_use]
    pub fn new(test: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a unix socket in it may have 107 bytes at most.
        let name = format!("agentcheck-{test}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, which need not exist.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A directory in it, made if it is not there.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A file in it with this content, readable by all.
    #[must_use]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// The same for who may be reading it meanwhile: the old content or the new one, never a part of it.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::rename(self.write(&format!("{name}.new"), content), &path).unwrap();
        path
    }

    /// A copy of a program, where an unprivileged user gets at it; one that is there already is left alone.
    ///
    /// # Panics
    /// Where it cannot be copied.
    #[must_use]
    pub fn program(&self, built: &Path) -> PathBuf {
        let copy = self
            .path
            .join(built.file_name().expect("a program has a name"));
        // By another process: a file that this process has open for writing is also open in a child that another test
        // starts at this moment. A program that is open for writing cannot be run.
        if !copy.exists() {
            run(Command::new("install")
                .args(["-m", "755"])
                .args([built, &copy]));
        }
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
