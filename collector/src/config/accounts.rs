//! Who is in a group, by /etc/passwd and /etc/group. Accounts of a directory service are not known here:
//! their groups are taken for groups of several.

use std::collections::BTreeSet;
use std::io::Read as _;

/// Whom user namespaces, such as that of `PrivateUsers=yes`, show in the place of all whom they do not map.
pub(super) const OVERFLOW: u32 = 65534;

/// The largest file of accounts, in bytes.
const MAX_BYTES: u64 = 4 << 20;

fn read(path: &str) -> Option<String> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The users of a group, by number; `None` where that cannot be known.
pub(super) fn members(gid: u32) -> Option<BTreeSet<u32>> {
    members_in(gid, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn members_in(gid: u32, passwd: &str, groups: &str) -> Option<BTreeSet<u32>> {
    let users: Vec<(&str, u32, u32)> = passwd.lines().filter_map(user).collect();
    let primary = users.iter().filter(|(_, _, group)| *group == gid);
    let mut members: BTreeSet<u32> = primary.map(|(_, uid, _)| *uid).collect();
    let mut known = false;
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, number, names, ..] = fields.as_slice() else {
            continue;
        };
        if number.parse() != Ok(gid) {
            continue;
        }
        known = true;
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let found = users.iter().find(|(user, ..)| *user == name.trim());
            members.insert(found.map(|(_, uid, _)| *uid)?);
        }
    }
    known.then_some(members)
}

/// Name, number and group of a user.
fn user(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((name, uid, gid))
}

/// A user for people: by name, and by number.
pub(super) fn shown(uid: u32) -> String {
    let passwd = read("/etc/passwd").unwrap_or_default();
    let name = passwd
        .lines()
        .filter_map(user)
        .find_map(|(name, number, _)| (number == uid).then_some(name));
    match name {
        Some(name) => format!("{} ({uid})", crate::text::printable(name)),
        None => format!("user {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n\
        bob:x:1001:1001::/:/bin/sh\nbroken:x:\nagentcheck:x:990:990::/:/bin/false\n\
        eve:x:1002:1002::/:/bin/sh\nguest:x:1003:1002::/:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nann:x:1000:\nbob:x:1001:bob,ann\nagentcheck:x:990:bob\n\
        eve:x:1002:\nstrange:x:7:somebody\nbroken\n";

    #[test]
    fn a_group_is_of_those_whose_first_it_is_and_of_those_who_are_named() {
        let members = |gid| members_in(gid, PASSWD, GROUPS).map(Vec::from_iter);
        assert_eq!(members(0), Some(vec![0]));
        assert_eq!(members(1000), Some(vec![1000]));
        assert_eq!(members(1001), Some(vec![1000, 1001]));
        assert_eq!(members(990), Some(vec![990, 1001]));
        assert_eq!(members(1002), Some(vec![1002, 1003]));
    }

    #[test]
    fn what_is_not_known_is_nobodys_own() {
        assert_eq!(members_in(7, PASSWD, GROUPS), None, "a member is unknown");
        assert_eq!(members_in(8, PASSWD, GROUPS), None, "the group is unknown");
        assert_eq!(members_in(0, "", ""), None);
    }
}
