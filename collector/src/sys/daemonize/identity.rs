//! The user of a collector that was started as root.

use crate::sys::accounts::{Account, Accounts};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fmt;
use std::io;

/// A user of this host, by `/etc/passwd` and `/etc/group`.
#[derive(Clone, Debug)]
pub struct Identity {
    called: String,
    account: Account,
    /// The groups of `/etc/group` that list the user.
    groups: Vec<u32>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.called)
    }
}

impl Identity {
    /// A user and, if it is not the user's own, a group; by name or number.
    ///
    /// # Errors
    /// Where the user or group is unknown.
    pub fn find(user: &str, group: Option<&str>) -> Result<Self, String> {
        let accounts = Accounts::read()?;
        let account = accounts.find(user, group)?;
        let name = account.known.as_ref().map(|(name, _)| name.as_str());
        Ok(Self {
            called: user.to_owned(),
            groups: name.map_or_else(Vec::new, |name| accounts.memberships(name)),
            account,
        })
    }

    /// Becomes this user for good, with its groups and no others. No thread may exist yet: each has its own
    /// identity.
    ///
    /// # Errors
    /// Where this process is neither root nor this user.
    pub fn assume(&self) -> io::Result<()> {
        must_be_alone()?;
        let (uid, gid) = (self.account.uid, self.account.gid);
        let is = rustix::process::geteuid();
        if !is.is_root() {
            let same = is.as_raw() == uid && rustix::process::getegid().as_raw() == gid;
            return if same {
                Ok(())
            } else {
                Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "only root can become another user",
                ))
            };
        }
        // -1 means "unchanged" to the kernel.
        let (Some(uid), Some(gid)) = (valid(uid), valid(gid)) else {
            return Err(io::Error::other("4294967295 is not a valid user or group"));
        };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let others = self.groups.iter().copied().filter_map(valid);
        let groups: Vec<Gid> = [gid].into_iter().chain(others.map(Gid::from_raw)).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

fn valid(number: u32) -> Option<u32> {
    (number != u32::MAX).then_some(number)
}

/// Checks that this is the only thread of the process.
pub(super) fn must_be_alone() -> io::Result<()> {
    match std::fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => Err(io::Error::other(format!(
            "the process has {threads} threads"
        ))),
    }
}
