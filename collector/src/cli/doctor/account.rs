//! The collector's user.

use std::path::Path;

/// The user that packages make.
const USER: &str = "agentcheck";

/// The largest file of accounts, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The one that was named; else that of the live collector; else the packages' own, where there is one. None
/// is whoever looks.
pub(super) fn choose(
    named: Option<&str>,
    live: Option<(u32, u32)>,
) -> Result<Option<Account>, String> {
    let passwd =
        crate::state_file::read_bounded(Path::new("/etc/passwd"), MAX_BYTES).unwrap_or_default();
    choose_from(&String::from_utf8_lossy(&passwd), named, live)
}

/// Whether there is a user of this name.
pub(super) fn is_known(name: &str) -> bool {
    matches!(choose(Some(name), None), Ok(Some(_)))
}

fn choose_from(
    passwd: &str,
    named: Option<&str>,
    live: Option<(u32, u32)>,
) -> Result<Option<Account>, String> {
    match (named, live) {
        (Some(name), _) => find(passwd, name)
            .map(Some)
            .ok_or_else(|| format!("there is no user {name:?} in /etc/passwd")),
        (None, Some((uid, gid))) => Ok(Some(Account {
            name: format!("user {uid}"),
            uid,
            gid,
        })),
        (None, None) => Ok(find(passwd, USER)),
    }
}

fn find(passwd: &str, wanted: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        Some(Account {
            name: name.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nagentcheck:x:996:995::/:/usr/sbin/nologin\nbroken:x:\n";

    #[test]
    fn whose_eyes() {
        let packaged = Account {
            name: "agentcheck".to_owned(),
            uid: 996,
            gid: 995,
        };
        assert_eq!(choose_from(PASSWD, None, None), Ok(Some(packaged)));
        assert_eq!(choose_from("", None, None), Ok(None));
        let live = choose_from(PASSWD, None, Some((5, 6))).unwrap().unwrap();
        assert_eq!((live.uid, live.gid), (5, 6));
        let named = choose_from(PASSWD, Some("root"), Some((5, 6)))
            .unwrap()
            .unwrap();
        assert_eq!(named.uid, 0);
        assert!(choose_from(PASSWD, Some("ghost"), None).is_err());
        assert!(choose_from(PASSWD, Some("broken"), None).is_err());
    }
}
