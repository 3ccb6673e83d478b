//! Versions of `HAProxy` whose bugs matter to agents.

use super::super::Finding;

/// A version in order: a development version comes before the release that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    branch: (u32, u32),
    /// Not a development version.
    released: bool,
    /// The third number of a release, or that of a development version.
    patch: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+', ' ', '~']);
        let branch = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let third = parts.next().unwrap_or("0");
        match third.strip_prefix("dev") {
            Some(number) => Some(Self {
                branch,
                released: false,
                patch: number.parse().unwrap_or(0),
            }),
            None => Some(Self {
                branch,
                released: true,
                patch: third.parse().unwrap_or(0),
            }),
        }
    }
}

/// What is to be said of a version, as `show info` shows it.
#[must_use]
pub fn finding(text: &str) -> Finding {
    let about = "haproxy";
    let Some(version) = Version::parse(text) else {
        return Finding::note(about, format!("version {text:?} is not known"));
    };
    let development = |branch, patch| Version {
        branch,
        released: false,
        patch,
    };
    let release = |branch, patch| Version {
        branch,
        released: true,
        patch,
    };
    if version < development((2, 0), 0) {
        return Finding::warning(
            about,
            format!(
                "version {text}: maint after an agent's down may not be applied, and nobody maintains it"
            ),
            "2.4 or later",
        );
    }
    if version >= development((2, 2), 7) && version < development((2, 4), 12) {
        return Finding::error(
            about,
            format!("version {text}: an agent's up overrides failed health checks"),
            "2.4 or later; until then, no agent-check on servers with check",
        );
    }
    if version == release((2, 4), 0) {
        return Finding::warning(
            about,
            format!(
                "version {text}: it shows nothing of agents, and maxconn from an agent can stop it for good"
            ),
            "2.4.1 or later; no maxconn in the service until then",
        );
    }
    if version.branch == (2, 1) || version < development((2, 4), 12) && version.branch != (2, 0) {
        return Finding::note(
            about,
            format!("version {text} is not among those that agentcheck is tested with"),
        );
    }
    if version == release((3, 3), 0) || version == release((3, 4), 0) {
        return Finding::note(
            about,
            format!(
                "version {text}: after a failed health check a server stays down until the agent says up; agentcheck's \
                 own replies do, and each line = of a rule has to"
            ),
        );
    }
    Finding::ok(about, format!("version {text}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{self, Error, Note, Warning};
    use super::*;

    #[test]
    fn versions_and_their_bugs() {
        for (version, severity) in [
            ("1.8.0", Warning),
            ("2.0.0", Severity::Ok),
            ("2.0.35-1", Severity::Ok),
            ("2.1.3", Note),
            ("2.2-dev6", Note),
            ("2.2-dev7", Error),
            ("2.2.0", Error),
            ("2.3.21", Error),
            ("2.4-dev11", Error),
            ("2.4-dev12-abcdef", Severity::Ok),
            ("2.4.0", Warning),
            ("2.4.22-0ubuntu0", Severity::Ok),
            ("2.6.12-1+deb12u4", Severity::Ok),
            ("3.3.0", Note),
            ("3.3.1", Severity::Ok),
            ("3.4.0-abc", Note),
            ("3.5-dev5", Severity::Ok),
            ("next", Note),
            ("", Note),
        ] {
            assert_eq!(finding(version).severity, severity, "{version}");
        }
    }
}
