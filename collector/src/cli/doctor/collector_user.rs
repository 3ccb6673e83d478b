//! The user as which the collector runs.

use crate::sys::accounts::{self, Accounts};

/// The user that the packages create.
const USER: &str = "agentcheck";

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CollectorUser {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The named user; else the user of the live collector; else the packages' user, where it exists. `None` means
/// the user who runs the command.
pub(super) fn choose(
    named: Option<&str>,
    live: Option<(u32, u32)>,
) -> Result<Option<CollectorUser>, String> {
    match (named, live) {
        (Some(name), _) => find(&Accounts::read()?, name).map(Some),
        (None, Some((uid, gid))) => Ok(Some(CollectorUser {
            name: format!("user {uid}"),
            uid,
            gid,
        })),
        (None, None) => Ok(Accounts::read()
            .ok()
            .and_then(|accounts| find(&accounts, USER).ok())),
    }
}

/// Whether this host has a user of this name.
pub(super) fn is_known(name: &str) -> bool {
    choose(Some(name), None).is_ok()
}

fn find(accounts: &Accounts, name: &str) -> Result<CollectorUser, String> {
    let accounts::Account { uid, gid, .. } = accounts.find(name, None)?;
    Ok(CollectorUser {
        name: name.to_owned(),
        uid,
        gid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_user_comes_before_the_live_collectors_user() {
        let live = choose(None, Some((5, 6))).unwrap().unwrap();
        assert_eq!((live.uid, live.gid), (5, 6));
        let named = choose(Some("root"), Some((5, 6))).unwrap().unwrap();
        assert_eq!(named.uid, 0);
        assert!(choose(Some("no-such-user"), None).is_err());
    }
}
