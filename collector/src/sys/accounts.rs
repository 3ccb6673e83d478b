//! Users and groups of this host, from /etc/passwd and /etc/group, or by number.
//!
//! Pure, but for [`Accounts::read`].
//!
//! Not here: users of a directory service. A query to one can hang, and it has no deadline. Their numbers can
//! be given instead.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};

/// The user that user namespaces, such as that of `PrivateUsers=yes`, show in place of all users that they do
/// not map.
pub const OVERFLOW: u32 = 65534;

/// How much of each of the two files is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// The two files.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    passwd: String,
    groups: String,
}

/// A user and a group to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// Name and home directory, where the user is in /etc/passwd.
    pub known: Option<(String, String)>,
}

/// One line of /etc/passwd.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of /etc/group.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Accounts {
    /// Reads /etc/passwd and /etc/group, at most 4 MiB of each. A missing /etc/group is an empty one.
    ///
    /// # Errors
    /// Where a file cannot be read: its path and the reason.
    pub fn read() -> Result<Self, String> {
        let read =
            |path: &str| bounded(path).map_err(|error| format!("cannot read {path}: {error}"));
        let groups = match bounded("/etc/group") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read /etc/group: {error}")),
            Ok(groups) => groups,
        };
        Ok(Self {
            passwd: read("/etc/passwd")?,
            groups,
        })
    }

    /// The same from texts.
    #[must_use]
    pub fn from_texts(passwd: &str, groups: &str) -> Self {
        Self {
            passwd: passwd.to_owned(),
            groups: groups.to_owned(),
        }
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            let home = fields.nth(1).unwrap_or_default();
            Some(User {
                name,
                uid,
                gid,
                home,
            })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.groups.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            let members = fields.next().unwrap_or_default();
            Some(Group { name, gid, members })
        })
    }

    /// The user and, where one is given, the group; each by name or number.
    ///
    /// # Errors
    /// Where a name is unknown, or where a number without a line in /etc/passwd comes without a group.
    pub fn find(&self, user: &str, group: Option<&str>) -> Result<Account, String> {
        let number: Option<u32> = user.parse().ok();
        let entry = self
            .users()
            .find(|entry| entry.name == user || number == Some(entry.uid));
        let given = match group {
            None => None,
            Some(group) => Some(match group.parse() {
                Ok(gid) => gid,
                Err(_) => self
                    .groups()
                    .find_map(|entry| (entry.name == group).then_some(entry.gid))
                    .ok_or_else(|| format!("unknown group {group:?}: not in /etc/group"))?,
            }),
        };
        match (entry, number, given) {
            (Some(entry), _, given) => Ok(Account {
                uid: entry.uid,
                gid: given.unwrap_or(entry.gid),
                known: Some((entry.name.to_owned(), entry.home.to_owned())),
            }),
            (None, Some(uid), Some(gid)) => Ok(Account {
                uid,
                gid,
                known: None,
            }),
            (None, Some(uid), None) => Err(format!(
                "user {uid} is not in /etc/passwd: give a group as well"
            )),
            (None, None, _) => Err(format!("unknown user {user:?}: not in /etc/passwd")),
        }
    }

    /// The groups that list the user `name` as a member.
    #[must_use]
    pub fn memberships(&self, name: &str) -> Vec<u32> {
        let lists = |group: &Group<'_>| {
            !name.is_empty() && group.members.split(',').any(|member| member.trim() == name)
        };
        self.groups().filter(lists).map(|group| group.gid).collect()
    }

    /// The users of a group, by number; `None` where the group or one of its members is unknown, as those of
    /// a directory service are.
    #[must_use]
    pub fn members(&self, gid: u32) -> Option<BTreeSet<u32>> {
        let primary = self.users().filter(|user| user.gid == gid);
        let mut members: BTreeSet<u32> = primary.map(|user| user.uid).collect();
        let mut known = false;
        for group in self.groups().filter(|group| group.gid == gid) {
            known = true;
            for name in group.members.split(',').filter(|name| !name.is_empty()) {
                members.insert(self.users().find(|user| user.name == name.trim())?.uid);
            }
        }
        known.then_some(members)
    }

    /// The name of a user.
    #[must_use]
    pub fn name_of(&self, uid: u32) -> Option<&str> {
        let mut users = self.users();
        users.find_map(|user| (user.uid == uid && !user.name.is_empty()).then_some(user.name))
    }
}

fn bounded(path: &str) -> io::Result<String> {
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n+::::::\nbroken:x:\n\
        ann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n\
        agentcheck:x:990:990::/:/bin/false\neve:x:1002:1002::/:/bin/sh\nguest:x:1003:1002::/:/bin/sh\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nadm:x:4:syslog,web\nbroken\nann:x:1000:\nbob:x:1001:bob,ann\n\
        agentcheck:x:990:bob\neve:x:1002:\nssl:x:80: web\nwebmail:x:90:webmail\nstrange:x:7:other\n";

    fn accounts() -> Accounts {
        Accounts::from_texts(PASSWD, GROUPS)
    }

    #[test]
    fn memberships_are_the_groups_that_list_the_user() {
        assert_eq!(accounts().memberships("web"), [4, 80]);
        assert_eq!(accounts().memberships(""), [0; 0]);
    }

    #[test]
    fn user_and_group_are_found_by_name_or_number() {
        let nobody = |gid| Account {
            uid: 65534,
            gid,
            known: Some(("nobody".to_owned(), "/nonexistent".to_owned())),
        };
        let unlisted = Account {
            uid: 1234,
            gid: 4,
            known: None,
        };
        for (user, group, account) in [
            ("nobody", None, nobody(65533)),
            ("65534", None, nobody(65533)),
            ("nobody", Some("adm"), nobody(4)),
            ("nobody", Some("7"), nobody(7)),
            ("1234", Some("adm"), unlisted),
        ] {
            let found = accounts().find(user, group);
            assert_eq!(found, Ok(account), "{user} {group:?}");
        }
    }

    #[test]
    fn unknown_users_and_groups_are_errors() {
        for (user, group, wrong) in [
            ("nobod", None, "unknown user \"nobod\": not in /etc/passwd"),
            (
                "broken",
                None,
                "unknown user \"broken\": not in /etc/passwd",
            ),
            ("", None, "unknown user \"\": not in /etc/passwd"),
            (
                "nobody",
                Some("none"),
                "unknown group \"none\": not in /etc/group",
            ),
            (
                "9",
                None,
                "user 9 is not in /etc/passwd: give a group as well",
            ),
            ("-1", None, "unknown user \"-1\": not in /etc/passwd"),
        ] {
            assert_eq!(accounts().find(user, group), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn members_are_primary_users_and_listed_users() {
        let members = |gid| accounts().members(gid).map(Vec::from_iter);
        assert_eq!(members(0), Some(vec![0]));
        assert_eq!(members(1000), Some(vec![1000]));
        assert_eq!(members(1001), Some(vec![1000, 1001]));
        assert_eq!(members(990), Some(vec![990, 1001]));
        assert_eq!(members(1002), Some(vec![1002, 1003]));
    }

    #[test]
    fn members_of_an_unknown_group_or_with_an_unknown_user_are_unknown() {
        assert_eq!(accounts().members(7), None, "a member is unknown");
        assert_eq!(accounts().members(8), None, "the group is unknown");
        assert_eq!(Accounts::default().members(0), None);
    }

    #[test]
    fn names_of_users() {
        assert_eq!(accounts().name_of(1001), Some("bob"));
        assert_eq!(accounts().name_of(5), None);
    }
}
