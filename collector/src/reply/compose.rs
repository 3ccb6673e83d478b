//! From where a server should be to the words that get it there from anywhere: every reply says the
//! whole state, never what changed, because HAProxy changes only what a reply says.
//!
//! The two renderings, each seen to recover from every state to every other:
//!
//! | state | shared | owner |
//! |---|---|---|
//! | full | `up 100%` | `up ready 100%` |
//! | weight | `up p%` | `up ready p%` |
//! | drain | `up 0%` | `up drain 100%` |
//! | down | `down 100%` | `down ready 100%` |
//! | maint | `stopped 100% # maintenance` | `maint 100%` |

use crate::config::{Administration, Describe, Service, State};
use agentcheck_common::{Administrative, Description, Maxconn, Operational, Percent, Reply};

/// How the replies of a service are worded, whatever they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The least weight that load may lead to.
    pub floor: Percent,
    /// Who owns the administrative state on the balancer.
    pub administration: Administration,
    /// How much descriptions tell.
    pub describe: Describe,
    /// The limit of connections that is said, where the agent manages it.
    pub maxconn: Option<Maxconn>,
}

impl Manner {
    /// That of a service, with the limit that holds when nothing limits it.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        Self {
            floor: service.shaping.floor,
            administration: service.administration,
            describe: service.describe,
            maxconn: service.maxconn.as_ref().map(|limit| limit.normal),
        }
    }

    /// What of a description is told: all of it, or only what stands for it.
    #[must_use]
    pub fn text<'t>(&self, full: &'t str, state: &'t str) -> &'t str {
        match self.describe {
            Describe::Full => full,
            Describe::State => state,
            Describe::Nothing => "",
        }
    }

    /// The same, as a description.
    #[must_use]
    pub fn describe(&self, full: &str, state: &str) -> Description {
        Description::lossy(self.text(full, state))
    }
}

/// The reply that brings a server into `state`; `why` becomes its description, but for a line that
/// brings its own. An exact line says its own limit of connections, or none.
#[must_use]
pub fn reply(state: State, manner: &Manner, why: &str) -> Reply {
    use Administration::{Owner, Shared};
    use Administrative::{Drain, Maint, Ready};
    use Operational::{Down, Stopped, Up};

    let full = Percent::FULL;
    let (operational, administrative, percent) = match (manner.administration, state) {
        (_, State::Line(line)) if !line.description.is_empty() => return line,
        (_, State::Line(line)) => return line.described(Description::lossy(why)),
        (Shared, State::Full) => (Some(Up), None, full),
        (Shared, State::Weight(percent)) => (Some(Up), None, percent),
        (Shared, State::Floor) => (Some(Up), None, manner.floor),
        (Shared, State::Drain) => (Some(Up), None, Percent::ZERO),
        (Shared, State::Down) => (Some(Down), None, full),
        (Shared, State::Maint) => (Some(Stopped), None, full),
        (Owner, State::Full) => (Some(Up), Some(Ready), full),
        (Owner, State::Weight(percent)) => (Some(Up), Some(Ready), percent),
        (Owner, State::Floor) => (Some(Up), Some(Ready), manner.floor),
        (Owner, State::Drain) => (Some(Up), Some(Drain), full),
        (Owner, State::Down) => (Some(Down), Some(Ready), full),
        (Owner, State::Maint) => (None, Some(Maint), full),
    };
    // The balancer logs `stopped` like any other down; this tells them apart.
    let described = match (manner.administration, state) {
        (Shared, State::Maint) if manner.describe != Describe::Nothing => {
            Description::lossy(&format!("maintenance {why}"))
        }
        _ => Description::lossy(why),
    };
    Reply {
        operational,
        administrative,
        percent: Some(percent),
        maxconn: manner.maxconn,
        description: described,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(administration: Administration) -> Manner {
        Manner {
            floor: Percent::new(3).unwrap(),
            administration,
            describe: Describe::Full,
            maxconn: None,
        }
    }

    #[test]
    fn the_table() {
        let weight = State::Weight(Percent::new(73).unwrap());
        for (state, shared, owner) in [
            (State::Full, "up 100% # x", "up ready 100% # x"),
            (weight, "up 73% # x", "up ready 73% # x"),
            (State::Floor, "up 3% # x", "up ready 3% # x"),
            (State::Drain, "up 0% # x", "up drain 100% # x"),
            (State::Down, "down 100% # x", "down ready 100% # x"),
            (
                State::Maint,
                "stopped 100% # maintenance x",
                "maint 100% # x",
            ),
        ] {
            let said = |administration| reply(state, &manner(administration), "x").to_string();
            assert_eq!(said(Administration::Shared), shared);
            assert_eq!(said(Administration::Owner), owner);
            let limited = Manner {
                maxconn: Maxconn::new(30),
                ..manner(Administration::Owner)
            };
            let with_limit = owner.replace(" #", " maxconn:30 #");
            assert_eq!(reply(state, &limited, "x").to_string(), with_limit);
        }
        let shared = manner(Administration::Shared);
        let maint = reply(State::Maint, &shared, "");
        assert_eq!(maint.to_string(), "stopped 100% # maintenance");
        let silent = Manner {
            describe: Describe::Nothing,
            ..shared
        };
        assert_eq!(reply(State::Maint, &silent, "").to_string(), "stopped 100%");
        let line = Reply::parse(b"up 5% # mine").unwrap();
        let said = reply(State::Line(line), &shared, "x");
        assert_eq!(said.to_string(), "up 5% # mine");
    }
}
