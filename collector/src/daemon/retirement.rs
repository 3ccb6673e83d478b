//! Services that were removed from the configuration. HAProxy keeps the last reply for ever, so the collector first
//! writes a release reply, which resets the server to full weight, and later removes the state file.

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

/// How long the release reply stays: HAProxy has to poll in that time.
pub(super) const RELEASE_TIME: Duration = Duration::from_secs(60);

/// The interval of tries to write, read or remove a state file.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The services that are being removed.
pub(super) struct Retirement {
    /// The directory where state files are read.
    path: PathBuf,
    boot: BootId,
    pending: BTreeMap<ServiceName, PendingRemoval>,
}

/// One service that is being removed.
struct PendingRemoval {
    next: Next,
    /// When the next step is due.
    at: BootTime,
    /// Whether the log has its failure.
    logged: bool,
}

/// The next step for a service.
#[derive(Clone, Copy)]
enum Next {
    /// Write the release reply, with this limit of connections.
    Release(Option<Maxconn>),
    /// Remove the state file.
    Remove,
}

impl Retirement {
    /// No service yet; state files are in `path`.
    pub(super) fn new(path: &Path, boot: BootId) -> Self {
        Self {
            path: path.to_owned(),
            boot,
            pending: BTreeMap::new(),
        }
    }

    /// Continues from `before`, the snapshot of an earlier collector: its services that are not configured any more.
    /// State files that no collector wrote stay.
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
                let until = BootTime(*until).min(now.after(RELEASE_TIME));
                // The earlier collector may have ended before it wrote the release reply.
                let reply = state_file::current_reply(&self.path, &name, &self.boot, now);
                if reply.is_some_and(|reply| reply.takes_server_out()) {
                    self.schedule(name, Next::Release(None), now);
                } else {
                    self.schedule(name, Next::Remove, until);
                }
            }
        }
    }

    fn schedule(&mut self, name: ServiceName, next: Next, at: BootTime) {
        let logged = false;
        self.pending
            .insert(name, PendingRemoval { next, at, logged });
    }

    /// Writes the release reply of a service. `normal` is its normal limit of connections, if it was managed.
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
        self.schedule(*name, Next::Release(normal), now);
        self.remove(Some(directory), now);
    }

    /// Writes the release reply; returns when to remove the state file.
    fn publish(
        &self,
        name: &ServiceName,
        normal: Option<Maxconn>,
        directory: BorrowedFd<'_>,
        now: BootTime,
    ) -> io::Result<BootTime> {
        let Some(before) = state_file::try_current_reply(&self.path, name, &self.boot, now)? else {
            // There is no valid reply, so there is nothing to reset.
            return Ok(now);
        };
        let last = release_reply(&before, normal, "removed from the configuration");
        let until = now.after(RELEASE_TIME);
        let stage = Stage { until, reply: last };
        state_file::publish(directory, name, (&self.boot, now), &[stage], &last)?;
        info!("{name}: removed from the configuration: {last} for a minute, was {before}");
        Ok(until)
    }

    /// The service is configured again.
    pub(super) fn cancel(&mut self, name: &ServiceName) {
        self.pending.remove(name);
    }

    /// When the next step is due.
    pub(super) fn next(&self) -> Option<BootTime> {
        self.pending.values().map(|pending| pending.at).min()
    }

    /// Takes all due steps; returns whether there was one.
    pub(super) fn remove(&mut self, directory: Option<BorrowedFd<'_>>, now: BootTime) -> bool {
        let due = self.pending.iter().filter(|(_, pending)| pending.at <= now);
        let due: Vec<ServiceName> = due.map(|(name, _)| *name).collect();
        for name in &due {
            let Some(mut pending) = self.pending.remove(name) else {
                continue;
            };
            let again = now.after(RETRY_INTERVAL);
            let done = match (pending.next, directory) {
                // The directory may come back.
                (_, None) => {
                    pending.at = again;
                    self.pending.insert(*name, pending);
                    continue;
                }
                (Next::Release(normal), Some(directory)) => {
                    self.publish(name, normal, directory, now).map(Some)
                }
                (Next::Remove, Some(directory)) => unlink(name, directory).map(|()| None),
            };
            match done {
                Ok(None) => {}
                Ok(Some(until)) => self.schedule(*name, Next::Remove, until),
                Err(error) => {
                    if !pending.logged {
                        let step = match pending.next {
                            Next::Release(_) => "write release reply to",
                            Next::Remove => "remove",
                        };
                        warn!(
                            "{name}: removed from the configuration: cannot {step} its state file: {error}; retrying"
                        );
                    }
                    pending.logged = true;
                    pending.at = again;
                    self.pending.insert(*name, pending);
                }
            }
        }
        !due.is_empty()
    }

    /// When to remove each state file, for the status snapshot.
    pub(super) fn statuses(&self) -> BTreeMap<String, u64> {
        let pending = self.pending.iter();
        pending
            .map(|(name, pending)| (name.to_string(), pending.at.0))
            .collect()
    }
}

/// Removes a state file, if it exists.
fn unlink(name: &ServiceName, directory: BorrowedFd<'_>) -> io::Result<()> {
    match unlinkat(directory, format!("{name}{STATE_SUFFIX}"), AtFlags::empty()) {
        Ok(()) => info!("{name}: removed its state file"),
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

    /// The disk is full, and later the file cannot be removed.
    #[test]
    fn failed_steps_are_retried() {
        let scratch = Scratch::new("retirement");
        let path = scratch.path();
        let opened = std::fs::File::open(path).unwrap();
        let directory = Some(opened.as_fd());
        let boot = BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap();
        let name = ServiceName::parse(b"web").unwrap();
        let file = path.join("web.state");
        let text = format!("agentcheck 1 web\nboot {boot}\nfrom 5\nthen up 0% # drained\n");
        std::fs::write(&file, &text).unwrap();
        // In the place of the temporary file.
        let obstacle = path.join(".web.state.new");
        std::fs::create_dir(&obstacle).unwrap();

        let mut retirement = Retirement::new(path, boot);
        retirement.retire(&name, None, directory, second(0));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(retirement.next(), Some(second(1)));
        assert!(!retirement.remove(directory, second(0)));
        assert!(retirement.remove(directory, second(1)));
        assert!(retirement.remove(None, second(2)));
        assert_eq!(retirement.next(), Some(second(3)));
        std::fs::remove_dir(&obstacle).unwrap();
        assert!(retirement.remove(directory, second(3)));
        let reply = || state_file::current_reply(path, &name, &boot, second(4));
        let last = "up 100% # removed from the configuration";
        assert_eq!(reply().unwrap().to_string(), last);
        assert_eq!(retirement.next(), Some(second(63)));

        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(retirement.remove(directory, second(63)));
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, &text).unwrap();
        assert!(retirement.remove(directory, second(64)));
        assert!(!file.exists());
        assert_eq!(retirement.next(), None);
    }
}
