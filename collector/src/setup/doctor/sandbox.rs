//! What the sandbox of the collector's unit hides, as `systemctl show` tells of it: a source that answers here
//! may be missing there.

use super::Finding;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The unit that is asked for: ours.
pub const UNIT: &str = "agentcheck-collector.service";

/// The properties that are asked for, for `systemctl show --property`.
pub const PROPERTIES: &str =
    "Id,LoadState,MainPID,PrivateTmp,ProtectHome,BindPaths,BindReadOnlyPaths,JoinsNamespaceOf";

/// A path that the collector has to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// What needs it, in the configuration's words.
    pub by: String,
    /// The path, as it is configured.
    pub path: PathBuf,
    /// The same without links.
    pub real: PathBuf,
}

/// What is to be said of paths that the unit hides; `live` is the process id of the live collector. Nothing
/// where the unit is not there, or is not the live collector's.
#[must_use]
pub fn findings(
    unit: &BTreeMap<String, String>,
    live: Option<u32>,
    needed: &[Needed],
) -> Vec<Finding> {
    let get = |key: &str| unit.get(key).map_or("", String::as_str);
    let main: u32 = get("MainPID").parse().unwrap_or_default();
    if get("LoadState") != "loaded" || live.is_some_and(|live| live != main) {
        return Vec::new();
    }
    let binds = [get("BindPaths"), get("BindReadOnlyPaths")];
    let shown: Vec<&Path> = binds
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(destination)
        .collect();
    let home = get("ProtectHome");
    let private_tmp = !matches!(get("PrivateTmp"), "" | "no") && get("JoinsNamespaceOf").is_empty();
    let hidden = |path: &Path| {
        let below =
            |roots: &[&'static str]| roots.iter().copied().find(|root| path.starts_with(root));
        if shown.iter().any(|shown| path.starts_with(shown)) {
            return None;
        }
        let tmp = below(&["/tmp", "/var/tmp"]).filter(|_| private_tmp);
        let tmp = tmp.map(|root| {
            (
                format!(
                    "PrivateTmp={}: its {root} is another one",
                    get("PrivateTmp")
                ),
                "/run/NAME for example; or PrivateTmp=no",
            )
        });
        let home = below(&["/home", "/root", "/run/user"])
            .filter(|_| matches!(home, "yes" | "tmpfs"))
            .map(|root| {
                (
                    format!("ProtectHome={home}: it sees nothing of {root}"),
                    "or ProtectHome=read-only and the rights",
                )
            });
        tmp.or(home)
    };
    let found = needed.iter().filter_map(|needed| {
        let (why, remedy) = hidden(&needed.path).or_else(|| hidden(&needed.real))?;
        let what = format!(
            "{}: {} and {UNIT} has {why}",
            needed.by,
            needed.path.display()
        );
        let remedy = format!("put it elsewhere, {remedy}, by systemctl edit {UNIT}");
        Some(Finding::warning("sandbox", what, remedy))
    });
    found.collect()
}

/// Where `SOURCE:DESTINATION:OPTIONS` is to be seen.
fn destination(bind: &str) -> Option<&Path> {
    let mut parts = bind.trim_start_matches('-').split(':');
    let source = parts.next()?;
    let destination = parts.next().filter(|part| part.starts_with('/'));
    Some(Path::new(destination.unwrap_or(source)))
}

#[cfg(test)]
mod tests {
    use super::super::systemd::parse;
    use super::*;

    const SHIPPED: &str = "Id=agentcheck-collector.service\nLoadState=loaded\nMainPID=42\nPrivateTmp=yes\n\
        ProtectHome=yes\nBindPaths=\nBindReadOnlyPaths=\nJoinsNamespaceOf=\n";

    fn look(shown: &str, live: Option<u32>, path: &str) -> Vec<Finding> {
        let needed = Needed {
            by: "source app".to_owned(),
            path: path.into(),
            real: path.into(),
        };
        findings(&parse(shown)[0], live, &[needed])
    }

    #[test]
    fn what_the_shipped_unit_hides() {
        for (path, part) in [
            ("/tmp/app.load", "PrivateTmp=yes: its /tmp is another one"),
            (
                "/var/tmp/x/y",
                "PrivateTmp=yes: its /var/tmp is another one",
            ),
            (
                "/home/app/load",
                "ProtectHome=yes: it sees nothing of /home",
            ),
            ("/root/load", "sees nothing of /root"),
            ("/run/user/7/load", "sees nothing of /run/user"),
        ] {
            for live in [None, Some(42)] {
                let found = look(SHIPPED, live, path);
                assert_eq!(found.len(), 1, "{path}");
                assert_eq!(found[0].severity, super::super::Severity::Warning);
                assert!(found[0].what.contains(part), "{found:?}");
                assert!(found[0].what.contains(path), "{found:?}");
            }
        }
        for path in [
            "/run/app/load",
            "/tmpfs/x",
            "/homes/x",
            "/var/lib/x",
            "/run/users",
        ] {
            assert_eq!(look(SHIPPED, None, path), [], "{path}");
        }
    }

    #[test]
    fn what_it_does_not_hide() {
        let path = "/tmp/app/load";
        let with = |key: &str, value: &str| SHIPPED.replace(key, value);
        assert_eq!(
            look(&with("PrivateTmp=yes", "PrivateTmp=no"), None, path),
            []
        );
        let joins = with("JoinsNamespaceOf=", "JoinsNamespaceOf=app.service");
        assert_eq!(look(&joins, None, path), []);
        let bound = with(
            "BindReadOnlyPaths=",
            "BindReadOnlyPaths=/srv/x:/tmp/app:rbind",
        );
        assert_eq!(look(&bound, None, path), []);
        assert_eq!(look(&bound, None, "/srv/x"), []);
        assert_eq!(look(&bound, None, "/tmp/other").len(), 1);
        let bound = with("BindPaths=", "BindPaths=-/tmp/app");
        assert_eq!(look(&bound, None, path), []);
        let readable = with("ProtectHome=yes", "ProtectHome=read-only");
        assert_eq!(look(&readable, None, "/home/x"), []);
        assert_eq!(look(&readable, None, path).len(), 1);
        // Another collector than the unit's, or no unit.
        assert_eq!(look(SHIPPED, Some(43), path), []);
        assert_eq!(look(&with("=loaded", "=not-found"), None, path), []);
    }

    #[test]
    fn a_link_into_what_is_hidden() {
        let needed = Needed {
            by: "source app".to_owned(),
            path: "/opt/app/load".into(),
            real: "/home/app/load".into(),
        };
        let found = findings(&parse(SHIPPED)[0], None, &[needed]);
        assert!(found[0].what.contains("/opt/app/load"), "{found:?}");
        let remedy = found[0].remedy.as_deref().unwrap();
        assert!(remedy.contains("ProtectHome=read-only"), "{remedy}");
    }
}
