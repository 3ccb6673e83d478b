//! Who can change a configuration, and who can read its secrets. Sources run commands, so a user who can write to
//! the configuration can act as the collector. Only root and the user who runs agentcheck may do that.
//!
//! The check covers the file, and every directory and link on the path to it. A user who is not trusted cannot
//! change them between the check and the reading.

use crate::sys::accounts::{Accounts, OVERFLOW};
use rustix::fs::{FileType, Mode, StatVfsMountFlags};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// How many links are followed: as many as the kernel does.
const MAX_LINKS: usize = 40;

/// Why a path is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) path: PathBuf,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// The owner and the permissions of a file or directory.
#[derive(Clone, Copy, Debug)]
struct Facts {
    is_directory: bool,
    owner: u32,
    mode: Mode,
    /// Whether its group has no member but its owner.
    group_is_owners: bool,
}

/// Checks paths, each directory once.
pub(super) struct Trust {
    /// The user who runs agentcheck.
    user: u32,
    seen: BTreeSet<PathBuf>,
}

impl Trust {
    pub(super) fn of_this_process() -> Self {
        Self {
            user: rustix::process::geteuid().as_raw(),
            seen: BTreeSet::new(),
        }
    }

    /// The fault in the permissions of a file or directory, or of the directories above it. Opening the
    /// file reports what does not exist.
    pub(super) fn doubts(&mut self, path: &Path) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let Ok(absolute) = std::path::absolute(path) else {
            return doubts;
        };
        let mut left = parts(&absolute);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        // Whether others can write to the directory `at`, but cannot remove files of other users.
        let mut shared = self.inspect(&at, &mut doubts);
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                shared = self.inspect(&at, &mut doubts);
                continue;
            }
            let entry = at.join(part);
            let Ok(data) = entry.symlink_metadata() else {
                break;
            };
            if data.is_symlink() {
                links += 1;
                let Ok(target) = entry.read_link() else { break };
                if links > MAX_LINKS {
                    break;
                }
                if shared && !self.is_trusted(data.uid()) {
                    doubts.extend(self.of_owner(&entry, data.uid()));
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                    shared = self.inspect(&at, &mut doubts);
                }
                left.extend(parts(&target));
                continue;
            }
            shared = self.inspect(&entry, &mut doubts);
            at = entry;
        }
        doubts
    }

    /// Checks one file or directory. True for a directory that others can write to.
    fn inspect(&mut self, path: &Path, doubts: &mut Vec<Doubt>) -> bool {
        let Ok(data) = path.metadata() else {
            return false;
        };
        let facts = facts(path, &data);
        // /dev/null and terminals are not a permanent configuration.
        if FileType::from_raw_mode(data.mode()) == FileType::CharacterDevice {
            return false;
        }
        if self.seen.insert(path.to_owned()) {
            doubts.extend(self.of_owner(path, facts.owner));
            doubts.extend(of_mode(path, facts).filter(|_| !is_published_volume(path, facts)));
        }
        facts.is_directory && facts.mode.intersects(Mode::WGRP | Mode::WOTH)
    }

    fn is_trusted(&self, owner: u32) -> bool {
        owner == 0 || owner == self.user
    }

    fn of_owner(&self, path: &Path, owner: u32) -> Option<Doubt> {
        if self.is_trusted(owner) {
            return None;
        }
        let other = match owner {
            OVERFLOW => "nobody, or a user outside of this sandbox".to_owned(),
            _ => display_user(owner),
        };
        let or_user = match self.user {
            0 => String::new(),
            user => format!(" or to {}, who runs agentcheck", display_user(user)),
        };
        Some(Doubt {
            path: path.to_owned(),
            message: format!("the owner is {other}; it has to belong to root{or_user}"),
            remedy: format!("chown root {}", path.display()),
        })
    }
}

/// A user, by name and number.
fn display_user(uid: u32) -> String {
    match Accounts::read().unwrap_or_default().name_of(uid) {
        Some(name) => format!("{} ({uid})", crate::render::text::printable(name)),
        None => format!("user {uid}"),
    }
}

/// The users of a group; `None` if they are unknown.
fn members(gid: u32) -> Option<BTreeSet<u32>> {
    Accounts::read().ok()?.members(gid)
}

fn parts(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect();
    parts.reverse();
    parts
}

fn facts(path: &Path, data: &Metadata) -> Facts {
    let mode = Mode::from_raw_mode(data.mode());
    let private = || {
        let members = members(data.gid())?;
        let only_owner = members.iter().all(|member| *member == data.uid());
        Some(only_owner && !has_access_list(path))
    };
    Facts {
        is_directory: data.is_dir(),
        owner: data.uid(),
        mode,
        group_is_owners: mode.contains(Mode::WGRP) && private().unwrap_or(false),
    }
}

/// An access control list can give permissions to others; the mode shows the greatest of them as the group's.
fn has_access_list(path: &Path) -> bool {
    let mut none: [u8; 0] = [];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut none).is_ok_and(|size| size > 0)
}

/// Whether this is the directory of a volume that Kubernetes publishes: a ConfigMap or a Secret. Its mode is 0777, but it is
/// mounted read-only, and only the node's root replaces its content, by the link `..data`.
fn is_published_volume(path: &Path, facts: Facts) -> bool {
    let is_link_of_root = || {
        let link = path.join("..data").symlink_metadata();
        link.is_ok_and(|link| link.is_symlink() && link.uid() == 0)
    };
    facts.is_directory
        && facts.owner == 0
        && rustix::fs::statvfs(path)
            .is_ok_and(|volume| volume.f_flag.contains(StatVfsMountFlags::RDONLY))
        && is_link_of_root()
}

/// Other users must not write to a file, nor replace it.
fn of_mode(path: &Path, facts: Facts) -> Option<Doubt> {
    // In a directory with the sticky bit, only the owner can remove a file; the owner is checked.
    if facts.is_directory && facts.mode.contains(Mode::SVTX) {
        return None;
    }
    let by_group = facts.mode.contains(Mode::WGRP) && !facts.group_is_owners;
    let by_others = facts.mode.contains(Mode::WOTH);
    let (who, change) = match (by_group, by_others) {
        (false, false) => return None,
        (true, false) => ("its group", "g-w"),
        (false, true) => ("every user", "o-w"),
        (true, true) => ("every user", "go-w"),
    };
    let mode = facts.mode.as_raw_mode() & 0o7777;
    let message = match facts.is_directory {
        true => format!("{who} can create files in this directory, mode {mode:04o}"),
        false => format!("{who} can write to this file, mode {mode:04o}"),
    };
    Some(Doubt {
        path: path.to_owned(),
        message,
        remedy: format!("chmod {change} {}", path.display()),
    })
}

/// The directories of secrets of systemd and containers, which set their permissions.
const PLACES: [&str; 3] = ["/run/credentials", "/run/secrets", "/var/run/secrets"];

/// Which other users can read a secret, and the command that prevents it. `None` if no other user can, or if that
/// cannot be checked.
pub(super) fn exposed(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let named = std::env::var_os("CREDENTIALS_DIRECTORY");
    let named = named.map(PathBuf::from).filter(|place| place.is_absolute());
    let places = PLACES.map(PathBuf::from).into_iter().chain(named);
    for place in places {
        let place = place.canonicalize().unwrap_or(place);
        if real.starts_with(place) {
            return None;
        }
    }
    let data = real.metadata().ok()?;
    let mode = Mode::from_raw_mode(data.mode());
    // A group with one member gives a file of root to the collector.
    let alone = || members(data.gid()).is_some_and(|members| members.len() <= 1);
    let by_group = mode.contains(Mode::RGRP) && !alone();
    let (who, change) = match (by_group, mode.contains(Mode::ROTH)) {
        (false, false) => return None,
        (true, false) => ("its group", "g-r"),
        (false, true) => ("every user", "o-r"),
        (true, true) => ("every user", "go-r"),
    };
    let display = path.display();
    let mode = mode.as_raw_mode() & 0o7777;
    Some(format!(
        "{who} can read {display}, mode {mode:04o}: chmod {change} {display}"
    ))
}

#[cfg(test)]
mod tests;
