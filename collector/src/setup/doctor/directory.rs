//! Directories: whether they exist, and who can read and write in them.

use super::Finding;
use std::io;

/// The group whose members need no permission.
const ROOT: u32 = 0;

/// The permissions of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether it is a directory.
    pub directory: bool,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether root alone can put another file at its path. Otherwise a command of root's may meet a link there.
    pub is_roots_path: bool,
}

impl Rights {
    /// The command that changes its mode or group: only its owner runs it safely where others can replace it.
    fn change(self, command: &str, path: &str) -> String {
        match self.is_roots_path {
            true => format!("{command} {path}"),
            false => format!("as user {}, not as root: {command} {path}", self.uid),
        }
    }

    /// How it gets to belong to this user.
    #[must_use]
    pub fn give(self, owner: u32, path: &str) -> String {
        match self.is_roots_path {
            true => format!("chown {owner} {path}"),
            false => format!(
                "as the owner of the directory above, not as root: mv {path} {path}.old; then {MAKE}"
            ),
        }
    }
}

/// Makes the directories. Root itself must create nothing below a directory of another user.
const MAKE: &str = "sh /usr/lib/agentcheck/setup";

/// The use of a directory, which decides its permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The state files: everyone reads them, the collector writes them.
    State,
    /// The data that survives a reboot.
    Data,
    /// The operators' overrides.
    Overrides,
}

impl Role {
    fn about(self) -> &'static str {
        match self {
            Self::State => "state directory",
            Self::Data => "data directory",
            Self::Overrides => "overrides directory",
        }
    }
}

/// The finding about a directory; `owner` is the collector's user and group, where they are known.
#[must_use]
pub fn finding(
    role: Role,
    path: &str,
    rights: Result<Rights, io::ErrorKind>,
    owner: Option<(u32, u32)>,
) -> Finding {
    let about = role.about();
    let make = MAKE.to_owned();
    let rights = match rights {
        Ok(rights) if rights.directory => rights,
        Ok(_) => return Finding::error(about, format!("{path} is not a directory"), make),
        Err(io::ErrorKind::NotFound) if role == Role::State => {
            return Finding::error(about, format!("{path} does not exist"), make);
        }
        Err(io::ErrorKind::NotFound) => {
            let what = format!("{path} does not exist: operators' commands have no effect");
            return Finding::warning(about, what, make);
        }
        Err(io::ErrorKind::PermissionDenied) => {
            let what = format!("this user cannot read the permissions of {path}");
            return Finding::note(about, what).remedy("run agentcheck doctor as root");
        }
        Err(kind) => {
            return Finding::error(about, format!("{path}: {kind}"), make);
        }
    };
    let mode = rights.mode & 0o7777;
    if role == Role::State && mode & 0o005 != 0o005 {
        let what = format!("{path} has mode {mode:04o}: the responder's user cannot read it");
        return Finding::error(about, what, rights.change("chmod 0755", path));
    }
    if role == Role::State && mode & 0o022 != 0 {
        let what =
            format!("{path} has mode {mode:04o}: other users than the collector can write replies");
        return Finding::warning(about, what, rights.change("chmod 0755", path));
    }
    if role == Role::Overrides && mode & 0o002 != 0 {
        let what = format!("{path} has mode {mode:04o}: everyone can override");
        return Finding::warning(about, what, rights.change("chmod 2770", path));
    }
    if let (Role::Overrides, Some((_, group))) = (role, owner)
        && mode & 0o020 != 0
        && ![group, ROOT].contains(&rights.gid)
    {
        let what = format!(
            "{path} has mode {mode:04o} and group {}, whose members can override: the collector's group is {group}",
            rights.gid
        );
        let command = format!("chgrp {group}");
        return Finding::warning(about, what, rights.change(&command, path));
    }
    if let Some((owner, _)) = owner
        && owner != rights.uid
    {
        let what = format!(
            "{path} belongs to user {}, and the collector runs as user {owner}",
            rights.uid
        );
        return Finding::warning(about, what, rights.give(owner, path));
    }
    Finding::ok(about, format!("{path}, mode {mode:04o}"))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn rights(mode: u32) -> Result<Rights, io::ErrorKind> {
        Ok(Rights {
            directory: true,
            mode,
            uid: 7,
            gid: 70,
            is_roots_path: true,
        })
    }

    /// Root must not follow a link that the collector's user puts at the path.
    #[test]
    fn advice_is_no_command_for_root_where_another_user_can_replace_the_directory() {
        let owner = Some((7, 70));
        let cases = [
            (
                0o777,
                7,
                70,
                "chmod 2770 /d",
                "as user 7, not as root: chmod 2770 /d",
            ),
            (
                0o2770,
                7,
                71,
                "chgrp 70 /d",
                "as user 7, not as root: chgrp 70 /d",
            ),
            (
                0o2750,
                8,
                70,
                "chown 7 /d",
                "as the owner of the directory above, not as root: mv /d /d.old; \
                 then sh /usr/lib/agentcheck/setup",
            ),
        ];
        for (mode, uid, gid, by_root, by_user) in cases {
            for (is_roots_path, advice) in [(true, by_root), (false, by_user)] {
                let rights = Rights {
                    directory: true,
                    mode,
                    uid,
                    gid,
                    is_roots_path,
                };
                let found = finding(Role::Overrides, "/d", Ok(rights), owner);
                assert_eq!(found.remedy.as_deref(), Some(advice), "{found:?}");
            }
        }
    }

    #[test]
    fn permissions_are_judged_by_role() {
        use Role::{Data, Overrides, State};
        use Severity::{Error, Note, Ok as Fine, Warning};
        let file = Ok(Rights {
            directory: false,
            mode: 0o755,
            uid: 7,
            gid: 70,
            is_roots_path: true,
        });
        let ours = Some((7, 70));
        for (role, rights, owner, severity, part) in [
            (State, rights(0o40755), ours, Fine, "mode 0755"),
            (State, rights(0o755), None, Fine, "mode 0755"),
            (State, rights(0o750), ours, Error, "cannot read"),
            (State, rights(0o757), ours, Warning, "can write replies"),
            (
                State,
                rights(0o755),
                Some((8, 70)),
                Warning,
                "belongs to user 7",
            ),
            (State, file, ours, Error, "not a directory"),
            (
                State,
                Err(io::ErrorKind::NotFound),
                None,
                Error,
                "does not exist",
            ),
            (
                Data,
                Err(io::ErrorKind::NotFound),
                None,
                Warning,
                "does not exist",
            ),
            (Data, rights(0o750), ours, Fine, "mode 0750"),
            (Overrides, rights(0o2770), ours, Fine, "mode 2770"),
            // Reading decides nothing.
            (Overrides, rights(0o755), ours, Fine, "mode 0755"),
            (Overrides, rights(0o2775), ours, Fine, "mode 2775"),
            (Overrides, rights(0o777), ours, Warning, "everyone can"),
            (
                Overrides,
                rights(0o2770),
                Some((7, 71)),
                Warning,
                "group 70, whose members can override: the collector's group is 71",
            ),
            (Overrides, rights(0o2750), Some((7, 71)), Fine, "mode 2750"),
            (Overrides, rights(0o2770), None, Fine, "mode 2770"),
            (
                Overrides,
                Err(io::ErrorKind::PermissionDenied),
                None,
                Note,
                "cannot read the permissions",
            ),
        ] {
            let found = finding(role, "/d", rights, owner);
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.what.contains(part), "{found:?}");
        }
    }
}
