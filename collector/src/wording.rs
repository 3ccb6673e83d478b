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

use crate::config::{Administration, State};
use agentcheck_common::{Administrative, Description, Operational, Percent, Reply};

/// The reply that brings a server into `state`; `why` becomes its description, but for a line that
/// brings its own.
#[must_use]
pub fn reply(state: State, floor: Percent, administration: Administration, why: &str) -> Reply {
    use Administration::{Owner, Shared};
    use Administrative::{Drain, Maint, Ready};
    use Operational::{Down, Stopped, Up};

    let full = Percent::FULL;
    let (operational, administrative, percent) = match (administration, state) {
        (_, State::Line(line)) if !line.description.is_empty() => return line,
        (_, State::Line(line)) => return line.described(Description::lossy(why)),
        (Shared, State::Full) => (Some(Up), None, full),
        (Shared, State::Weight(percent)) => (Some(Up), None, percent),
        (Shared, State::Floor) => (Some(Up), None, floor),
        (Shared, State::Drain) => (Some(Up), None, Percent::ZERO),
        (Shared, State::Down) => (Some(Down), None, full),
        (Shared, State::Maint) => (Some(Stopped), None, full),
        (Owner, State::Full) => (Some(Up), Some(Ready), full),
        (Owner, State::Weight(percent)) => (Some(Up), Some(Ready), percent),
        (Owner, State::Floor) => (Some(Up), Some(Ready), floor),
        (Owner, State::Drain) => (Some(Up), Some(Drain), full),
        (Owner, State::Down) => (Some(Down), Some(Ready), full),
        (Owner, State::Maint) => (None, Some(Maint), full),
    };
    // The balancer logs `stopped` like any other down; this tells them apart.
    let described = match (administration, state) {
        (Shared, State::Maint) => Description::lossy(&format!("maintenance {why}")),
        _ => Description::lossy(why),
    };
    Reply {
        operational,
        administrative,
        percent: Some(percent),
        maxconn: None,
        description: described,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let floor = Percent::new(3).unwrap();
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
            let said = |administration| reply(state, floor, administration, "x").to_string();
            assert_eq!(said(Administration::Shared), shared);
            assert_eq!(said(Administration::Owner), owner);
        }
        let maint = reply(State::Maint, floor, Administration::Shared, "");
        assert_eq!(maint.to_string(), "stopped 100% # maintenance");
        let line = Reply::parse(b"up 5% # mine").unwrap();
        let said = reply(State::Line(line), floor, Administration::Owner, "x");
        assert_eq!(said.to_string(), "up 5% # mine");
    }
}
