//! Services that are not in the configuration any more. HAProxy goes on with what it was told last, for ever,
//! so the last word is that the server takes its full share, said for a while; and then there is no state file
//! that looks as if somebody stood behind it.

use crate::reply::release::release_reply;
use crate::status::snapshot::Status;
use crate::sys::state_file;
use agentcheck_common::schedule::Stage;
use agentcheck_common::{BootId, BootTime, Maxconn, STATE_SUFFIX, ServiceName};
use log::{info, warn};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the last word is said: HAProxy has to ask in that time.
pub(super) const SAID_FOR: Duration = Duration::from_secs(60);

/// How often what could not be written, read or removed is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The services that are on their way out.
pub(super) struct Retirement {
    /// Where state files are read.
    path: PathBuf,
    boot: BootId,
    leaving: BTreeMap<ServiceName, PendingRemoval>,
}

/// One of them.
struct PendingRemoval {
    next: Next,
    /// When that is to be done.
    at: BootTime,
    /// Whether it was told that it cannot be.
    told: bool,
}

/// What is to be done for a service.
#[derive(Clone, Copy)]
enum Next {
    /// The last word is to be said, with this limit of connections.
    Word(Option<Maxconn>),
    /// The state file is to be removed.
    Removal,
}

impl Retirement {
    /// Nobody yet; state files are in `path`.
    pub(super) fn new(path: &Path, boot: BootId) -> Self {
        Self {
            path: path.to_owned(),
            boot,
            leaving: BTreeMap::new(),
        }
    }

    /// Goes on with what an earlier collector left: the services that it spoke for and that nobody speaks for
    /// any more. State files of others than collectors are theirs.
    pub(super) fn restore(
        &mut self,
        before: &Status,
        is_configured: impl Fn(&ServiceName) -> bool,
        directory: Option<BorrowedFd<'_>>,
        now: BootTime,
    ) {
        for (name, known) in &before.services {
            let Some(name) = ServiceName::parse(name.as_bytes()) else {
                continue;
            };
            if !is_configured(&name) {
                let normal = known.maxconn_normal.and_then(Maxconn::new);
                self.retire(&name, normal, directory, now);
            }
        }
        for (name, until) in &before.pending_removals {
            let Some(name) = ServiceName::parse(name.as_bytes()) else {
                continue;
            };
            if !is_configured(&name) {
                let until = BootTime(*until).min(now.after(SAID_FOR));
                // It may have ended before it could say the last word.
                let said = state_file::current_reply(&self.path, &name, &self.boot, now);
                if said.is_some_and(|said| said.takes_out()) {
                    self.then(name, Next::Word(None), now);
                } else {
                    self.then(name, Next::Removal, until);
                }
            }
        }
    }

    fn then(&mut self, name: ServiceName, next: Next, at: BootTime) {
        let told = false;
        self.leaving.insert(name, PendingRemoval { next, at, told });
    }

    /// Says the last word for a service; `normal` is the limit of connections of a server that nothing limits,
    /// where it was managed.
    pub(super) fn retire(
        &mut self,
        name: &ServiceName,
        normal: Option<Maxconn>,
        directory: Option<BorrowedFd<'_>>,
        now: BootTime,
    ) {
        let Some(directory) = directory else {
            return;
        };
        self.then(*name, Next::Word(normal), now);
        self.remove(Some(directory), now);
    }

    /// Says the last word; until when.
    fn publish(
        &self,
        name: &ServiceName,
        normal: Option<Maxconn>,
        directory: BorrowedFd<'_>,
        now: BootTime,
    ) -> io::Result<BootTime> {
        let Some(said) = state_file::try_current_reply(&self.path, name, &self.boot, now)? else {
            // Nothing was said, or nothing that anybody heard: there is nothing to take back.
            return Ok(now);
        };
        let last = release_reply(&said, normal, "removed from the configuration");
        let until = now.after(SAID_FOR);
        let stage = Stage { until, reply: last };
        state_file::publish(directory, name, (&self.boot, now), &[stage], &last)?;
        info!("{name}: is not in the configuration any more: {last} for a minute, was {said}");
        Ok(until)
    }

    /// It is there again.
    pub(super) fn is_back(&mut self, name: &ServiceName) {
        self.leaving.remove(name);
    }

    /// When something is to be done.
    pub(super) fn next(&self) -> Option<BootTime> {
        self.leaving.values().map(|leaving| leaving.at).min()
    }

    /// Removes the state files of those whose time is over, and says the last words that could not be said
    /// before; whether there was anything to do.
    pub(super) fn remove(&mut self, directory: Option<BorrowedFd<'_>>, now: BootTime) -> bool {
        let due = |leaving: &PendingRemoval| leaving.at <= now;
        let due: Vec<ServiceName> = self
            .leaving
            .iter()
            .filter_map(|(name, leaving)| due(leaving).then_some(*name))
            .collect();
        for name in &due {
            let Some(mut leaving) = self.leaving.remove(name) else {
                continue;
            };
            let again = now.after(TRY_EVERY);
            let done = match (leaving.next, directory) {
                // It may be had again.
                (_, None) => {
                    leaving.at = again;
                    self.leaving.insert(*name, leaving);
                    continue;
                }
                (Next::Word(normal), Some(directory)) => {
                    self.publish(name, normal, directory, now).map(Some)
                }
                (Next::Removal, Some(directory)) => unlink(name, directory).map(|()| None),
            };
            match done {
                Ok(None) => {}
                Ok(Some(until)) => self.then(*name, Next::Removal, until),
                Err(error) => {
                    if !leaving.told {
                        let what = match leaving.next {
                            Next::Word(_) => {
                                "is not in the configuration any more, and no last word can be written"
                            }
                            Next::Removal => "its state file cannot be removed",
                        };
                        warn!("{name}: {what}: {error}; it is tried again");
                    }
                    leaving.told = true;
                    leaving.at = again;
                    self.leaving.insert(*name, leaving);
                }
            }
        }
        !due.is_empty()
    }

    /// For the status snapshot.
    pub(super) fn statuses(&self) -> BTreeMap<String, u64> {
        let leaving = self.leaving.iter();
        leaving
            .map(|(name, leaving)| (name.to_string(), leaving.at.0))
            .collect()
    }
}

/// Removes a state file, if it is there.
fn unlink(name: &ServiceName, directory: BorrowedFd<'_>) -> io::Result<()> {
    match unlinkat(directory, format!("{name}{STATE_SUFFIX}"), AtFlags::empty()) {
        Ok(()) => info!("{name}: its state file is removed"),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::os::fd::AsFd;

    fn second(count: u32) -> BootTime {
        BootTime(1_000_000_000).after(Duration::from_secs(count.into()))
    }

    /// The disk is full, and later what is there cannot be removed: both are tried until they can.
    #[test]
    fn what_cannot_be_done_is_tried_again() {
        let scratch = Scratch::new("retiring");
        let path = scratch.path();
        let opened = std::fs::File::open(path).unwrap();
        let directory = Some(opened.as_fd());
        let boot = BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap();
        let name = ServiceName::parse(b"web").unwrap();
        let file = path.join("web.state");
        let text = format!("agentcheck 1 web\nboot {boot}\nfrom 5\nthen up 0% # drained\n");
        std::fs::write(&file, &text).unwrap();
        // In the way of whoever writes.
        let obstacle = path.join(".web.state.new");
        std::fs::create_dir(&obstacle).unwrap();

        let mut retiring = Retirement::new(path, boot);
        retiring.retire(&name, None, directory, second(0));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(retiring.next(), Some(second(1)));
        assert!(!retiring.remove(directory, second(0)));
        assert!(retiring.remove(directory, second(1)));
        assert!(retiring.remove(None, second(2)));
        assert_eq!(retiring.next(), Some(second(3)));
        std::fs::remove_dir(&obstacle).unwrap();
        assert!(retiring.remove(directory, second(3)));
        let said = || state_file::current_reply(path, &name, &boot, second(4));
        let last = "up 100% # removed from the configuration";
        assert_eq!(said().unwrap().to_string(), last);
        assert_eq!(retiring.next(), Some(second(63)));

        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(retiring.remove(directory, second(63)));
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, &text).unwrap();
        assert!(retiring.remove(directory, second(64)));
        assert!(!file.exists());
        assert_eq!(retiring.next(), None);
    }
}
