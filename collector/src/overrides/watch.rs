//! Tells when the directory of overrides changes: by inotify, and by a look now and then where that is not to
//! be had, or the directory is not there yet.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the directory is looked at without inotify.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often inotify is tried again, and the directory looked at in spite of it: it may have been replaced.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// Waits for changes of one directory.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    inotify: Option<OwnedFd>,
}

impl Watch {
    /// Of a directory that may not be there.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            inotify: watched(directory),
        }
    }

    /// Waits until there may be something new. It may say so where there is nothing.
    pub fn wait(&mut self) {
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(if self.directory.is_dir() {
                LOOK_EVERY
            } else {
                TRY_EVERY
            });
            self.inotify = watched(&self.directory);
            return;
        };
        let mut ready = [rustix::event::PollFd::new(
            inotify,
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec {
            tv_sec: i64::try_from(TRY_EVERY.as_secs()).unwrap_or(1),
            tv_nsec: 0,
        };
        match rustix::event::poll(&mut ready, Some(&patience)) {
            Ok(0) => self.inotify = watched(&self.directory),
            // Not at once: it may fail again.
            Err(_) => std::thread::sleep(LOOK_EVERY),
            Ok(_) => {
                let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
                let mut events = inotify::Reader::new(inotify, &mut buffer);
                // All that is there: several files of one command are one change.
                let mut read = false;
                while events.next().is_ok() {
                    read = true;
                }
                if !read {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

fn watched(directory: &Path) -> Option<OwnedFd> {
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
