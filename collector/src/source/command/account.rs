//! Users and groups of this host, by /etc/passwd and /etc/group, or by number. Pure, but for the reading
//! of the two files.
//!
//! Not here: accounts of a directory service. To ask for one could hang, and there is no deadline for it;
//! their numbers can be given instead.

use super::super::Deadline;
use super::super::file::read_bounded;
use crate::reading::{Failure, Reason};
use std::path::Path;

/// The largest file of accounts, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// As whom a command is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Name and home, where the user stands in /etc/passwd.
    pub(crate) known: Option<(String, String)>,
}

/// The account of a user and, where one is given, a group, each by name or number.
pub(super) fn look_up(
    user: &str,
    group: Option<&str>,
    deadline: Deadline,
) -> Result<Account, Failure> {
    let read = |path: &str| {
        let content = read_bounded(Path::new(path), MAX_BYTES, deadline)?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    };
    let groups = match group {
        Some(group) if group.parse::<u32>().is_err() => read("/etc/group")?,
        _ => String::new(),
    };
    find(user, group, &read("/etc/passwd")?, &groups)
        .map_err(|wrong| Failure::new(Reason::Missing, wrong))
}

/// The same of the two files' content.
pub(crate) fn find(
    user: &str,
    group: Option<&str>,
    passwd: &str,
    groups: &str,
) -> Result<Account, String> {
    let number: Option<u32> = user.parse().ok();
    let entry = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            return None;
        };
        let (uid, gid) = (uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?);
        let is_meant = *name == user || number == Some(uid);
        is_meant.then(|| (uid, gid, (*name).to_owned(), (*home).to_owned()))
    });
    let given = match group {
        None => None,
        Some(group) => Some(match group.parse() {
            Ok(gid) => gid,
            Err(_) => find_group(group, groups)
                .ok_or_else(|| format!("there is no group {group:?} in /etc/group"))?,
        }),
    };
    match (entry, number, given) {
        (Some((uid, gid, name, home)), _, given) => Ok(Account {
            uid,
            gid: given.unwrap_or(gid),
            known: Some((name, home)),
        }),
        (None, Some(uid), Some(gid)) => Ok(Account {
            uid,
            gid,
            known: None,
        }),
        (None, Some(uid), None) => Err(format!(
            "user {uid} is not in /etc/passwd, so a group has to be given"
        )),
        (None, None, _) => Err(format!("there is no user {user:?} in /etc/passwd")),
    }
}

fn find_group(group: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?;
        if name == group {
            gid.parse().ok()
        } else {
            None
        }
    })
}

/// The groups that name a user as a member.
pub(crate) fn memberships(name: &str, groups: &str) -> Vec<u32> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields.as_slice() else {
            return None;
        };
        let is_member = !name.is_empty() && members.split(',').any(|member| member.trim() == name);
        is_member.then(|| gid.parse().ok()).flatten()
    };
    groups.lines().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_member_where_it_is_named() {
        let groups = "root:x:0:\nadm:x:4:syslog,web\nbroken\nweb:x:70:\nssl:x:80: web\nwebmail:x:90:webmail\n";
        assert_eq!(memberships("web", groups), [4, 80]);
        assert_eq!(memberships("", "root:x:0:\n"), [0; 0]);
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n+::::::\nbroken:x:\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nadm:x:4:syslog\nbroken\n";

    #[test]
    fn by_name_or_number() {
        let nobody = |gid| Account {
            uid: 65534,
            gid,
            known: Some(("nobody".to_owned(), "/nonexistent".to_owned())),
        };
        for (user, group, account) in [
            ("nobody", None, nobody(65533)),
            ("65534", None, nobody(65533)),
            ("nobody", Some("adm"), nobody(4)),
            ("nobody", Some("7"), nobody(7)),
            (
                "1234",
                Some("adm"),
                Account {
                    uid: 1234,
                    gid: 4,
                    known: None,
                },
            ),
        ] {
            assert_eq!(
                find(user, group, PASSWD, GROUPS),
                Ok(account),
                "{user} {group:?}"
            );
        }
    }

    #[test]
    fn who_is_not_there() {
        for (user, group, wrong) in [
            ("nobod", None, "there is no user \"nobod\" in /etc/passwd"),
            ("broken", None, "there is no user \"broken\" in /etc/passwd"),
            ("", None, "there is no user \"\" in /etc/passwd"),
            (
                "nobody",
                Some("none"),
                "there is no group \"none\" in /etc/group",
            ),
            (
                "9",
                None,
                "user 9 is not in /etc/passwd, so a group has to be given",
            ),
            ("-1", None, "there is no user \"-1\" in /etc/passwd"),
        ] {
            assert_eq!(find(user, group, PASSWD, GROUPS), Err(wrong.to_owned()));
        }
    }
}
