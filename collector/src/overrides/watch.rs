//! Watches the directory of overrides: with inotify, or by polling while inotify or the directory is unavailable.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the directory is checked without inotify.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How often inotify is tried again, and the directory is checked in spite of it, because it may be replaced.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A watch on one directory.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    inotify: Option<OwnedFd>,
}

impl Watch {
    /// Watches a directory, which need not exist.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            inotify: add_watch(directory),
        }
    }

    /// Waits until the directory may have changed; it can return without a change.
    pub fn wait(&mut self) {
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(if self.directory.is_dir() {
                CHECK_INTERVAL
            } else {
                RETRY_INTERVAL
            });
            self.inotify = add_watch(&self.directory);
            return;
        };
        let mut ready = [rustix::event::PollFd::new(
            inotify,
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec {
            tv_sec: i64::try_from(RETRY_INTERVAL.as_secs()).unwrap_or(1),
            tv_nsec: 0,
        };
        match rustix::event::poll(&mut ready, Some(&patience)) {
            Ok(0) => self.inotify = add_watch(&self.directory),
            // A pause, because the next call may fail, too.
            Err(_) => std::thread::sleep(CHECK_INTERVAL),
            Ok(_) => {
                let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
                let mut events = inotify::Reader::new(inotify, &mut buffer);
                // All pending events: several files of one command are one change.
                let mut read = false;
                while events.next().is_ok() {
                    read = true;
                }
                if !read {
                    std::thread::sleep(CHECK_INTERVAL);
                }
            }
        }
    }
}

fn add_watch(directory: &Path) -> Option<OwnedFd> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let changes = WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&inotify, directory, changes).ok()?;
    Some(inotify)
}
