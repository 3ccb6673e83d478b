//! Facts about versions of HAProxy that matter to agents: `doctor`, `check`, `explain --reply` and docs/haproxy.md
//! take them from this table. Pure.

use std::fmt;

/// A version. A development version comes before the release that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first two numbers.
    pub branch: (u32, u32),
    /// Whether it is not a development version.
    pub released: bool,
    /// The third number of a release, or the number of a development version.
    pub patch: u32,
}

impl Version {
    /// The version in a text such as `2.6.12-1+deb12u4` or `3.5-dev2-abcdef`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+', ' ', '~']);
        let branch = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let third = parts.next().unwrap_or("0");
        let (released, patch) = match third.strip_prefix("dev") {
            Some(number) => (false, number.parse().unwrap_or(0)),
            None => (true, third.parse().unwrap_or(0)),
        };
        Some(Self {
            branch,
            released,
            patch,
        })
    }
}

/// Shows `3.3.0` and `3.4-dev13`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.branch;
        let patch = self.patch;
        match self.released {
            true => write!(f, "{major}.{minor}.{patch}"),
            false => write!(f, "{major}.{minor}-dev{patch}"),
        }
    }
}

const fn release(major: u32, minor: u32, patch: u32) -> Version {
    Version {
        branch: (major, minor),
        released: true,
        patch,
    }
}

const fn development(major: u32, minor: u32, number: u32) -> Version {
    Version {
        branch: (major, minor),
        released: false,
        patch: number,
    }
}

/// The identity of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactId {
    /// HAProxy before 2.0.
    Unmaintained,
    /// A server that fails before its agent has sent `up` stays down.
    AgentHealthAtZero,
    /// An agent's `up` overrides failed health checks.
    UpOverridesChecks,
    /// An agent's `maxconn` hangs HAProxy.
    MaxconnDeadlock,
    /// The agent columns of `show stat` are empty.
    EmptyAgentColumns,
    /// `agent-send` delays other agent checks.
    AgentSendDelay,
    /// A server state file restores the agent's old address.
    StateFileRestoresAgent,
    /// `init-state` is unknown.
    InitStateUnknown,
    /// `init-state` has no effect at start.
    InitStateIgnored,
    /// `weight:N` is an unknown word.
    WeightWordUnknown,
    /// The exporter has no metric for the agent's status.
    NoAgentMetric,
    /// Each probe logs the forced drain.
    DrainLoggedPerProbe,
    /// The parser reads beyond an incomplete line.
    ParserOverrun,
    /// `default-server healthcheck` crashes HAProxy.
    HealthcheckSectionCrash,
    /// Backend names may contain blanks.
    BlankInBackendName,
}

/// How much a fact matters for an installation that works otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// It is good to know, or matters only with another option.
    Note,
    /// It breaks a situation that can occur.
    Warning,
    /// It makes our replies wrong.
    Error,
}

/// Versions from the first one on, up to but not including the second; `None` for no limit.
pub type Range = (Option<Version>, Option<Version>);

/// One fact.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Its identity.
    pub id: FactId,
    /// The versions that it applies to.
    pub ranges: &'static [Range],
    /// The same in words.
    pub versions: &'static str,
    /// How much it matters.
    pub impact: Impact,
    /// What happens.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// How it is known.
    pub evidence: &'static str,
}

impl Fact {
    /// Whether it applies to a version.
    #[must_use]
    pub fn applies_to(&self, version: Version) -> bool {
        self.ranges.iter().any(|(from, before)| {
            from.is_none_or(|from| version >= from) && before.is_none_or(|before| version < before)
        })
    }
}

/// All facts, the most important ones first.
pub const FACTS: [Fact; 15] = [
    Fact {
        id: FactId::AgentHealthAtZero,
        ranges: &[
            (Some(development(3, 3, 4)), Some(release(3, 3, 13))),
            (Some(development(3, 4, 0)), Some(release(3, 4, 3))),
            (Some(development(3, 5, 0)), Some(development(3, 5, 2))),
        ],
        versions: "3.3-dev4 to 3.3.12, 3.4-dev to 3.4.2, 3.5-dev0 and dev1",
        impact: Impact::Warning,
        meaning: "agent health begins at 0: until the agent has sent its first up, a server stays DOWN after one failed \
                  health check, or after maint and ready on the balancer",
        remedy: "add a default-server line to the backend or to defaults; for one server: set server BACKEND/SERVER agent up",
        evidence: "tried on 3.3.0, 3.4.0 and the fix (7aec1e6d9); other releases by date; 3.3.12 and 3.4.2 are unknown",
    },
    Fact {
        id: FactId::UpOverridesChecks,
        ranges: &[
            (Some(development(2, 2, 7)), Some(release(2, 2, 11))),
            (Some(development(2, 3, 0)), Some(release(2, 3, 7))),
            (Some(development(2, 4, 0)), Some(development(2, 4, 12))),
        ],
        versions: "2.2-dev7 to 2.2.10, 2.3 to 2.3.6, up to 2.4-dev11",
        impact: Impact::Error,
        meaning: "an agent's up overrides failed health checks (#1176)",
        remedy: "upgrade; until then, use no agent-check on servers with check",
        evidence: "tried on 2.2.0; others by date",
    },
    Fact {
        id: FactId::MaxconnDeadlock,
        ranges: &[
            (None, Some(release(2, 0, 23))),
            (Some(development(2, 1, 0)), Some(release(2, 2, 15))),
            (Some(development(2, 3, 0)), Some(release(2, 3, 11))),
            (Some(development(2, 4, 0)), Some(release(2, 4, 2))),
        ],
        versions: "up to 2.0.22, 2.1, up to 2.2.14, up to 2.3.10, 2.4.0 and 2.4.1",
        impact: Impact::Note,
        meaning: "an agent's maxconn hangs or aborts HAProxy when it rises while sessions wait (#1302)",
        remedy: "upgrade; until then, set no maxconn in the service",
        evidence: "tried on 2.0.0, 2.2.0 and 2.4.0; the fixes 79a88ba3d and 0274286dd by date",
    },
    Fact {
        id: FactId::EmptyAgentColumns,
        ranges: &[(Some(release(2, 4, 0)), Some(release(2, 4, 3)))],
        versions: "2.4.0 to 2.4.2",
        impact: Impact::Note,
        meaning: "the agent columns of show stat are empty (#1331)",
        remedy: "upgrade; until then, read HAProxy's log (option log-health-checks)",
        evidence: "tried on 2.4.0; others by date",
    },
    Fact {
        id: FactId::AgentSendDelay,
        ranges: &[(Some(development(2, 2, 7)), Some(development(2, 7, 5)))],
        versions: "2.2-dev7 to 2.7-dev4",
        impact: Impact::Note,
        meaning: "if one server has agent-send, each probe of a server without it takes 200 ms longer (#1839)",
        remedy: "give all servers an agent-send",
        evidence: "by date",
    },
    Fact {
        id: FactId::StateFileRestoresAgent,
        ranges: &[(Some(release(2, 4, 0)), None)],
        versions: "2.4 and later",
        impact: Impact::Note,
        meaning: "a server state file restores the old agent-port and agent-addr at every reload, over a changed haproxy.cfg",
        remedy: "compare srv_agent_port of show servers state; set server BACKEND/SERVER agent-addr ADDRESS port PORT, or \
                 empty the file before that reload",
        evidence: "tried",
    },
    Fact {
        id: FactId::InitStateUnknown,
        ranges: &[(None, Some(release(3, 1, 0)))],
        versions: "up to 3.0",
        impact: Impact::Note,
        meaning: "init-state is an unknown keyword: a server that its agent wants out gets traffic until the first probe",
        remedy: "use a server state file",
        evidence: "tried on 3.0.0",
    },
    Fact {
        id: FactId::InitStateIgnored,
        ranges: &[(Some(release(3, 1, 0)), Some(development(3, 4, 13)))],
        versions: "3.1.0 to 3.4-dev12",
        impact: Impact::Note,
        meaning: "init-state down has no effect at start and reload",
        remedy: "use a server state file",
        evidence: "tried on 3.1.0, 3.2.0 and 3.3.0; the fix 18c5cd667 may be in later releases of 3.2 and 3.3",
    },
    Fact {
        id: FactId::WeightWordUnknown,
        ranges: &[(None, Some(development(3, 1, 14)))],
        versions: "up to 3.0, and up to 3.1-dev13",
        impact: Impact::Note,
        meaning: "weight:N is an unknown word; later versions set the weight N",
        remedy: "send a percentage: weight_form = \"percent\"",
        evidence: "tried on 3.0.0 and 3.1.0",
    },
    Fact {
        id: FactId::NoAgentMetric,
        ranges: &[(None, Some(release(3, 2, 0)))],
        versions: "before 3.2",
        impact: Impact::Note,
        meaning: "HAProxy's exporter has no haproxy_server_agent_status",
        remedy: "read agent_status of show stat",
        evidence: "tried on 3.2.0",
    },
    Fact {
        id: FactId::DrainLoggedPerProbe,
        ranges: &[(None, Some(release(2, 8, 0)))],
        versions: "up to 2.7",
        impact: Impact::Note,
        meaning: "HAProxy logs \"remains in forced drain mode\" at every up drain 100%",
        remedy: "use admin_state = \"preserve\", which sends up 0%",
        evidence: "tried on 2.6.12 and 2.8.0",
    },
    Fact {
        id: FactId::ParserOverrun,
        ranges: &[(Some(development(2, 2, 7)), Some(development(3, 4, 14)))],
        versions: "2.2-dev7 to 3.4-dev13",
        impact: Impact::Note,
        meaning: "HAProxy can parse old bytes together with a line that has no line end, or that comes in two segments",
        remedy: "let other agents send one short line, with its newline, in one write, as our responder does",
        evidence: "tried on 2.4, 2.6.12, 2.8, 3.0 and 3.2; the fix 57b526e02 may be in later releases of these",
    },
    Fact {
        id: FactId::HealthcheckSectionCrash,
        ranges: &[(Some(release(3, 4, 0)), Some(release(3, 4, 1)))],
        versions: "3.4.0",
        impact: Impact::Note,
        meaning: "default-server healthcheck NAME crashes HAProxy",
        remedy: "write healthcheck NAME on the server lines",
        evidence: "tried",
    },
    Fact {
        id: FactId::BlankInBackendName,
        ranges: &[(Some(release(3, 4, 0)), None)],
        versions: "3.4 and later",
        impact: Impact::Note,
        meaning: "a backend name may contain blanks, which makes show servers state ambiguous",
        remedy: "use no blanks in backend names",
        evidence: "tried on 3.4.0",
    },
    Fact {
        id: FactId::Unmaintained,
        ranges: &[(None, Some(development(2, 0, 0)))],
        versions: "before 2.0",
        impact: Impact::Warning,
        meaning: "maint after an agent's down may not be applied, and the version is not maintained",
        remedy: "upgrade to 2.4 or later",
        evidence: "tried on 1.8.0",
    },
];

/// The fact with this identity.
#[must_use]
pub fn fact(id: FactId) -> &'static Fact {
    let position = FACTS.iter().position(|fact| fact.id == id);
    // Every identity has its fact: a test asks for each.
    position.and_then(|at| FACTS.get(at)).unwrap_or(&FACTS[0])
}

/// The table in Markdown, which docs/haproxy.md contains.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| versions | what happens | remedy | how we know |\n|---|---|---|---|\n");
    for fact in &FACTS {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            fact.versions, fact.meaning, fact.remedy, fact.evidence
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let order = [
            "1.8.0",
            "2.0.0",
            "2.2-dev6",
            "2.2-dev7",
            "2.2.0",
            "2.4-dev12-abc",
            "2.4.0",
            "2.6.12-1+deb12u4",
            "3.5-dev5",
        ];
        let versions = order.map(|text| Version::parse(text).unwrap());
        assert!(versions.is_sorted());
        assert_eq!(versions[7].to_string(), "2.6.12");
        assert_eq!(versions[5].to_string(), "2.4-dev12");
        for text in ["", "next", "2", "x.y"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn facts_apply_to_their_versions() {
        use FactId::*;
        for (version, expected) in [
            ("1.8.0", vec![MaxconnDeadlock, Unmaintained]),
            ("2.0.0", vec![MaxconnDeadlock]),
            ("2.0.35-1", vec![]),
            ("2.2.0", vec![UpOverridesChecks, MaxconnDeadlock]),
            ("2.2.11", vec![MaxconnDeadlock]),
            ("2.3.21", vec![]),
            ("2.4-dev11", vec![UpOverridesChecks, MaxconnDeadlock]),
            ("2.4.0", vec![MaxconnDeadlock, EmptyAgentColumns]),
            ("2.4.2", vec![EmptyAgentColumns]),
            ("2.4.22-0ubuntu0", vec![]),
            ("2.6.12-1+deb12u4", vec![]),
            ("3.3-dev3", vec![]),
            ("3.3.0", vec![AgentHealthAtZero]),
            ("3.4.0-abc", vec![AgentHealthAtZero]),
            ("3.4.3", vec![]),
            ("3.5-dev1", vec![AgentHealthAtZero]),
            ("3.5-dev2", vec![]),
        ] {
            let parsed = Version::parse(version).unwrap();
            let serious = [
                AgentHealthAtZero,
                UpOverridesChecks,
                MaxconnDeadlock,
                EmptyAgentColumns,
                Unmaintained,
            ];
            let found: Vec<FactId> = FACTS
                .iter()
                .filter(|fact| fact.applies_to(parsed) && serious.contains(&fact.id))
                .map(|fact| fact.id)
                .collect();
            assert_eq!(found, expected, "{version}");
        }
        for (id, first) in [
            (WeightWordUnknown, "3.1.0"),
            (NoAgentMetric, "3.2.0"),
            (InitStateUnknown, "3.1.0"),
        ] {
            assert!(
                !fact(id).applies_to(Version::parse(first).unwrap()),
                "{first}"
            );
        }
    }

    #[test]
    fn every_identity_has_one_fact() {
        for known in &FACTS {
            assert_eq!(FACTS.iter().filter(|one| one.id == known.id).count(), 1);
            assert_eq!(fact(known.id).meaning, known.meaning);
            assert!(!known.ranges.is_empty());
        }
        // The last identity, in the order of the enumeration.
        assert_eq!(FactId::BlankInBackendName as usize + 1, FACTS.len());
    }
}
