//! Permits for what only a few tests may use at once. They are locks on files in cargo's target directory, so that
//! they count among the threads of one process (`cargo test`) and among processes (`cargo nextest`).

use crate::binaries;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::time::Duration;

/// The right to use something. It ends when this is dropped, or when the test's process ends.
#[derive(Debug)]
pub struct Permit {
    _locked: File,
}

impl Permit {
    /// Waits for one of `count` permits to use `resource`, for as long as it takes.
    ///
    /// # Panics
    /// Where the files of the locks cannot be made.
    #[must_use]
    pub fn take(resource: &str, count: usize) -> Self {
        let directory = binaries::target().join("test-permits");
        fs::create_dir_all(&directory).unwrap();
        let files: Vec<File> = (0..count)
            .map(|number| {
                let path = directory.join(format!("{resource}-{number}"));
                File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            })
            .collect();
        let take = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        loop {
            if let Some(locked) = files.iter().position(take) {
                let _locked = files.into_iter().nth(locked).expect("it was found there");
                return Self { _locked };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
