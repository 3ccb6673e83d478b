//! Watches the directory of overrides: with inotify, or by polling while inotify or the directory is unavailable.

use crate::sys::identity;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the directory is checked without inotify.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How often inotify is tried again, and the directory is checked in spite of it, because it may be replaced.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The events after which another directory may have the path.
const LOST: ReadFlags = ReadFlags::DELETE_SELF
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);

/// A watch on one directory.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    inotify: Option<OwnedFd>,
    /// Device and inode of the watched directory.
    identity: Option<(u64, u64)>,
}

impl Watch {
    /// Watches a directory, which need not exist.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let mut watch = Self {
            directory: directory.to_owned(),
            inotify: None,
            identity: None,
        };
        watch.begin();
        watch
    }

    /// Watches the directory that has the path now.
    fn begin(&mut self) {
        // If the directory is replaced in this moment, the next check finds that.
        self.identity = self.present();
        self.inotify = add_watch(&self.directory);
    }

    fn present(&self) -> Option<(u64, u64)> {
        let found = rustix::fs::stat(&self.directory).ok()?;
        Some(identity(&found))
    }

    /// Waits until the directory may have changed; it can return without a change.
    pub fn wait(&mut self) {
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(if self.directory.is_dir() {
                CHECK_INTERVAL
            } else {
                RETRY_INTERVAL
            });
            self.begin();
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
            // A new watch takes more time than this check.
            Ok(0) if self.identity.is_some() && self.identity == self.present() => {}
            Ok(0) => self.begin(),
            // A pause, because the next call may fail, too.
            Err(_) => std::thread::sleep(CHECK_INTERVAL),
            Ok(_) => {
                let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
                let mut events = inotify::Reader::new(inotify, &mut buffer);
                // All pending events: several files of one command are one change.
                let (mut read, mut is_lost) = (false, false);
                while let Ok(event) = events.next() {
                    read = true;
                    is_lost |= event.events().intersects(LOST);
                }
                if !read {
                    std::thread::sleep(CHECK_INTERVAL);
                }
                if is_lost {
                    self.begin();
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

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::fs;

    #[test]
    fn replaced_directory_is_watched() {
        let scratch = Scratch::new("watch");
        let directory = scratch.directory("overrides");
        let mut watch = Watch::new(&directory);
        let before = watch.identity;
        assert!(watch.inotify.is_some() && before.is_some());
        fs::write(directory.join("web.outage"), "").unwrap();
        watch.wait();
        assert_eq!(watch.identity, before);
        fs::rename(&directory, scratch.file("moved")).unwrap();
        fs::create_dir(&directory).unwrap();
        while watch.identity == before {
            watch.wait();
        }
        assert_eq!(watch.identity, watch.present());
        fs::remove_dir(&directory).unwrap();
        while watch.inotify.is_some() {
            watch.wait();
        }
        fs::create_dir(&directory).unwrap();
        while watch.inotify.is_none() {
            watch.wait();
        }
    }
}
