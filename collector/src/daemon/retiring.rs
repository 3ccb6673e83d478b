//! Services that are not in the configuration any more. HAProxy goes on with what it was told last, for ever,
//! so the last word is that the server takes its full share, said for a while; and then there is no state file
//! that looks as if somebody stood behind it.

use crate::last_word::last_word;
use crate::state_file;
use crate::status::Status;
use agentcheck_common::schedule::Stage;
use agentcheck_common::{BootId, BootTime, Maxconn, STATE_SUFFIX, ServiceName};
use log::{info, warn};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the last word is said: HAProxy has to ask in that time.
pub(super) const SAID_FOR: Duration = Duration::from_secs(60);

/// The services that are on their way out, and until when.
pub(super) struct Retiring {
    /// Where state files are read.
    path: PathBuf,
    boot: BootId,
    until: BTreeMap<ServiceName, BootTime>,
}

impl Retiring {
    /// Nobody yet; state files are in `path`.
    pub(super) fn new(path: &Path, boot: BootId) -> Self {
        Self {
            path: path.to_owned(),
            boot,
            until: BTreeMap::new(),
        }
    }

    /// Goes on with what an earlier collector left: the services that it spoke for and that nobody speaks for
    /// any more. State files of others than collectors are theirs.
    pub(super) fn go_on(
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
        for (name, until) in &before.retiring {
            let Some(name) = ServiceName::parse(name.as_bytes()) else {
                continue;
            };
            if !is_configured(&name) {
                let until = BootTime(*until).min(now.after(SAID_FOR));
                self.until.insert(name, until);
            }
        }
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
        let Some(said) = state_file::said(&self.path, name, &self.boot, now) else {
            // Nothing was said, or nothing that anybody heard: there is nothing to take back.
            self.until.insert(*name, now);
            return;
        };
        let last = last_word(&said, normal, "removed from the configuration");
        let until = now.after(SAID_FOR);
        let stage = Stage { until, reply: last };
        let written = state_file::publish(directory, name, (&self.boot, now), &[stage], &last);
        match written {
            Ok(()) => info!(
                "{name}: is not in the configuration any more: {last} for a minute, was {said}"
            ),
            Err(error) => warn!(
                "{name}: is not in the configuration any more, and no last word can be written: {error}"
            ),
        }
        self.until.insert(*name, until);
    }

    /// It is there again.
    pub(super) fn is_back(&mut self, name: &ServiceName) {
        self.until.remove(name);
    }

    /// When the next state file is to be removed.
    pub(super) fn next(&self) -> Option<BootTime> {
        self.until.values().min().copied()
    }

    /// Removes the state files of those whose time is over; whether there were any.
    pub(super) fn remove(&mut self, directory: Option<BorrowedFd<'_>>, now: BootTime) -> bool {
        let Some(directory) = directory else {
            return false;
        };
        let before = self.until.len();
        self.until.retain(|name, until| {
            if *until > now {
                return true;
            }
            let file = format!("{name}{STATE_SUFFIX}");
            match unlinkat(directory, &file, AtFlags::empty()) {
                Ok(()) => info!("{name}: its state file is removed"),
                Err(Errno::NOENT) => {}
                Err(error) => warn!("{name}: its state file cannot be removed: {error}"),
            }
            false
        });
        self.until.len() < before
    }

    /// For the status snapshot.
    pub(super) fn statuses(&self) -> BTreeMap<String, u64> {
        let until = self.until.iter();
        until
            .map(|(name, until)| (name.to_string(), until.0))
            .collect()
    }
}
