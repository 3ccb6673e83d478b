//! Who may change a configuration, and who may read its secrets. Sources run commands, so whoever can write
//! to the configuration can do what the collector can: that may be root and the user who runs agentcheck,
//! nobody else.
//!
//! Looked at are the file, and every directory and link on the way to it. What is looked at cannot be
//! changed, between this and the reading, by those whom it is to keep out.

use crate::sys::accounts::{Accounts, OVERFLOW};
use rustix::fs::{FileType, Mode};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// How many links are followed: as many as the kernel does.
const MAX_LINKS: usize = 40;

/// Why a path is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) path: PathBuf,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// What there is to know of a file or directory.
#[derive(Clone, Copy, Debug)]
struct Facts {
    is_directory: bool,
    owner: u32,
    mode: Mode,
    /// Whether its group is nobody's but its owner's.
    group_is_owners: bool,
}

/// Looks at paths, at each place once.
pub(super) struct Trust {
    /// Who runs this.
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

    /// What is wrong with the rights of a file or directory, and those of the way to it. What is not there,
    /// or cannot be looked at, is for whoever opens it to tell.
    pub(super) fn look(&mut self, path: &Path) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let Ok(absolute) = std::path::absolute(path) else {
            return doubts;
        };
        let mut left = parts(&absolute);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        // Whether others may write to the directory `at`, but not remove what they do not own.
        let mut shared = self.look_at(&at, &mut doubts);
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                shared = self.look_at(&at, &mut doubts);
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
                    shared = self.look_at(&at, &mut doubts);
                }
                left.extend(parts(&target));
                continue;
            }
            shared = self.look_at(&entry, &mut doubts);
            at = entry;
        }
        doubts
    }

    /// Looks at one file or directory; whether it is a directory of which all may write to their own part.
    fn look_at(&mut self, path: &Path, doubts: &mut Vec<Doubt>) -> bool {
        let Ok(data) = path.metadata() else {
            return false;
        };
        let facts = facts(path, &data);
        // /dev/null and terminals are no configuration that stays.
        if FileType::from_raw_mode(data.mode()) == FileType::CharacterDevice {
            return false;
        }
        if self.seen.insert(path.to_owned()) {
            doubts.extend(self.of_owner(path, facts.owner));
            doubts.extend(of_mode(path, facts));
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
        let whose = match owner {
            OVERFLOW => "nobody, or to a user who is not seen from within this sandbox".to_owned(),
            _ => shown(owner),
        };
        let we = match self.user {
            0 => String::new(),
            user => format!(" or to {}, who runs this", shown(user)),
        };
        Some(Doubt {
            path: path.to_owned(),
            what: format!("it belongs to {whose}, and has to belong to root{we}"),
            remedy: format!("chown root {}", path.display()),
        })
    }
}

/// A user for people: by name and number.
fn shown(uid: u32) -> String {
    match Accounts::read().unwrap_or_default().name_of(uid) {
        Some(name) => format!("{} ({uid})", crate::render::text::printable(name)),
        None => format!("user {uid}"),
    }
}

/// The users of a group; `None` where they are unknown.
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

/// An access list can give others more, and what shows as the group's rights is then the most of it.
fn has_access_list(path: &Path) -> bool {
    let mut none: [u8; 0] = [];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut none).is_ok_and(|size| size > 0)
}

/// Others must not write to a file, nor put another one in its place.
fn of_mode(path: &Path, facts: Facts) -> Option<Doubt> {
    // Of what is in such a directory, only who owns it can take it away; and that is looked at.
    if facts.is_directory && facts.mode.contains(Mode::SVTX) {
        return None;
    }
    let by_group = facts.mode.contains(Mode::WGRP) && !facts.group_is_owners;
    let by_others = facts.mode.contains(Mode::WOTH);
    let (who, change) = match (by_group, by_others) {
        (false, false) => return None,
        (true, false) => ("its group", "g-w"),
        (false, true) => ("everybody", "o-w"),
        (true, true) => ("everybody", "go-w"),
    };
    let mode = facts.mode.as_raw_mode() & 0o7777;
    let what = match facts.is_directory {
        true => format!("{who} may put files into this directory, mode {mode:04o}"),
        false => format!("{who} may write to it, mode {mode:04o}"),
    };
    Some(Doubt {
        path: path.to_owned(),
        what,
        remedy: format!("chmod {change} {}", path.display()),
    })
}

/// Where systemd and containers put secrets, with rights that are their own matter.
const PLACES: [&str; 3] = ["/run/credentials", "/run/secrets", "/var/run/secrets"];

/// Who else may read a secret, and what to do about it; nothing where nobody may, or where it cannot be
/// seen.
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
    // A group that is one user's own is how a file of root's is given to the collector.
    let alone = || members(data.gid()).is_some_and(|members| members.len() <= 1);
    let by_group = mode.contains(Mode::RGRP) && !alone();
    let (who, change) = match (by_group, mode.contains(Mode::ROTH)) {
        (false, false) => return None,
        (true, false) => ("its group", "g-r"),
        (false, true) => ("everybody", "o-r"),
        (true, true) => ("everybody", "go-r"),
    };
    let shown = path.display();
    let mode = mode.as_raw_mode() & 0o7777;
    Some(format!(
        "{who} may read {shown}, mode {mode:04o}: chmod {change} {shown}"
    ))
}

#[cfg(test)]
mod tests;
