//! The paths that the sandbox of the collector's unit hides, by `systemctl show`: a source that works here may be
//! missing there.

use super::Finding;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The collector's unit.
pub const UNIT: &str = "agentcheck-collector.service";

/// The properties for `systemctl show --property`.
pub const PROPERTIES: &str =
    "Id,LoadState,MainPID,PrivateTmp,ProtectHome,BindPaths,BindReadOnlyPaths,JoinsNamespaceOf";

/// A path that the collector reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The source or key that needs it.
    pub by: String,
    /// The configured path.
    pub path: PathBuf,
    /// The path without symbolic links.
    pub real: PathBuf,
}

/// The findings about paths that the unit hides. `live` is the process id of the running collector. There are none where
/// the unit does not exist, or where another process than the unit's is the collector.
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
                    "PrivateTmp={}: its {root} is another directory",
                    get("PrivateTmp")
                ),
                "such as /run/NAME; or set PrivateTmp=no",
            )
        });
        let home = below(&["/home", "/root", "/run/user"])
            .filter(|_| matches!(home, "yes" | "tmpfs"))
            .map(|root| {
                (
                    format!("ProtectHome={home}: it cannot see {root}"),
                    "or set ProtectHome=read-only and grant access",
                )
            });
        tmp.or(home)
    };
    let found = needed.iter().filter_map(|needed| {
        let (why, remedy) = hidden(&needed.path).or_else(|| hidden(&needed.real))?;
        let what = format!(
            "{}: {} is hidden from the collector: {UNIT} has {why}",
            needed.by,
            needed.path.display()
        );
        let remedy = format!("move it to another directory, {remedy} with systemctl edit {UNIT}");
        Some(Finding::warning("sandbox", what, remedy))
    });
    found.collect()
}

/// The destination of `SOURCE:DESTINATION:OPTIONS`.
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

    fn findings_for(shown: &str, live: Option<u32>, path: &str) -> Vec<Finding> {
        let needed = Needed {
            by: "source app".to_owned(),
            path: path.into(),
            real: path.into(),
        };
        findings(&parse(shown)[0], live, &[needed])
    }

    #[test]
    fn hidden_paths_of_the_shipped_unit_are_found() {
        for (path, part) in [
            (
                "/tmp/app.load",
                "PrivateTmp=yes: its /tmp is another directory",
            ),
            (
                "/var/tmp/x/y",
                "PrivateTmp=yes: its /var/tmp is another directory",
            ),
            ("/home/app/load", "ProtectHome=yes: it cannot see /home"),
            ("/root/load", "cannot see /root"),
            ("/run/user/7/load", "cannot see /run/user"),
        ] {
            for live in [None, Some(42)] {
                let found = findings_for(SHIPPED, live, path);
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
            assert_eq!(findings_for(SHIPPED, None, path), [], "{path}");
        }
    }

    #[test]
    fn visible_paths_give_no_finding() {
        let path = "/tmp/app/load";
        let with = |key: &str, value: &str| SHIPPED.replace(key, value);
        assert_eq!(
            findings_for(&with("PrivateTmp=yes", "PrivateTmp=no"), None, path),
            []
        );
        let joins = with("JoinsNamespaceOf=", "JoinsNamespaceOf=app.service");
        assert_eq!(findings_for(&joins, None, path), []);
        let bound = with(
            "BindReadOnlyPaths=",
            "BindReadOnlyPaths=/srv/x:/tmp/app:rbind",
        );
        assert_eq!(findings_for(&bound, None, path), []);
        assert_eq!(findings_for(&bound, None, "/srv/x"), []);
        assert_eq!(findings_for(&bound, None, "/tmp/other").len(), 1);
        let bound = with("BindPaths=", "BindPaths=-/tmp/app");
        assert_eq!(findings_for(&bound, None, path), []);
        let readable = with("ProtectHome=yes", "ProtectHome=read-only");
        assert_eq!(findings_for(&readable, None, "/home/x"), []);
        assert_eq!(findings_for(&readable, None, path).len(), 1);
        // Another collector than the unit's, or no unit.
        assert_eq!(findings_for(SHIPPED, Some(43), path), []);
        assert_eq!(findings_for(&with("=loaded", "=not-found"), None, path), []);
    }

    #[test]
    fn link_into_a_hidden_directory_is_found() {
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
