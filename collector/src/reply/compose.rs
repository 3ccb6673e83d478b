//! Composes the reply for a server state. Every reply contains the whole state, never a change, because HAProxy
//! changes only what a reply contains.
//!
//! The two renderings; each leads from every state to every other:
//!
//! | state | preserve | manage |
//! |---|---|---|
//! | full | `up 100%` | `up ready 100%` |
//! | weight | `up p%` | `up ready p%` |
//! | drain | `up 0%` | `up drain 100%` |
//! | down | `down 100%` | `down ready 100%` |
//! | maint | `stopped 100% # maintenance` | `maint 100%` |

use super::state::{AdminStatePolicy, DescriptionDetail, ServerState, WeightForm};
use agentcheck_common::{
    AdministrativeState, Description, Maxconn, OperationalState, Percent, Reply,
};

/// The properties of a service that its replies depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyStyle {
    /// The floor of the weight.
    pub floor: Percent,
    /// Who owns the administrative state on the balancer.
    pub admin_state: AdminStatePolicy,
    /// How much detail descriptions contain.
    pub description_detail: DescriptionDetail,
    /// How replies set the weight.
    pub weight_form: WeightForm,
    /// The connection limit of the reply, if the service manages it.
    pub maxconn: Option<Maxconn>,
}

impl ReplyStyle {
    /// Selects the text of a description by the configured detail.
    #[must_use]
    pub fn text<'t>(&self, full: &'t str, state: &'t str) -> &'t str {
        match self.description_detail {
            DescriptionDetail::Full => full,
            DescriptionDetail::State => state,
            DescriptionDetail::None => "",
        }
    }

    /// The selected text as a description.
    #[must_use]
    pub fn describe(&self, full: &str, state: &str) -> Description {
        Description::lossy(self.text(full, state))
    }
}

/// The reply that brings a server into `state`, with the description `why`. A raw reply keeps its own description
/// and connection limit.
#[must_use]
pub fn reply(state: &ServerState, style: &ReplyStyle, why: &str) -> Reply {
    use AdminStatePolicy::{Manage, Preserve};
    use AdministrativeState::{Drain, Maint, Ready};
    use OperationalState::{Down, Stopped, Up};

    let full = Percent::FULL;
    let (operational, administrative, percent) = match (style.admin_state, state) {
        (_, ServerState::Raw(line)) if !line.description.is_empty() => return **line,
        (_, ServerState::Raw(line)) => return line.with_description(Description::lossy(why)),
        // A reply without a word changes nothing.
        (_, ServerState::Keep) => return Reply::EMPTY.with_description(Description::lossy(why)),
        (Preserve, ServerState::Full) => (Some(Up), None, full),
        (Preserve, ServerState::Weight(percent)) => (Some(Up), None, *percent),
        (Preserve, ServerState::Floor) => (Some(Up), None, style.floor),
        (Preserve, ServerState::Drain) => (Some(Up), None, Percent::ZERO),
        (Preserve, ServerState::Down) => (Some(Down), None, full),
        (Preserve, ServerState::Maint) => (Some(Stopped), None, full),
        (Manage, ServerState::Full) => (Some(Up), Some(Ready), full),
        (Manage, ServerState::Weight(percent)) => (Some(Up), Some(Ready), *percent),
        (Manage, ServerState::Floor) => (Some(Up), Some(Ready), style.floor),
        (Manage, ServerState::Drain) => (Some(Up), Some(Drain), full),
        (Manage, ServerState::Down) => (Some(Down), Some(Ready), full),
        (Manage, ServerState::Maint) => (None, Some(Maint), full),
    };
    // HAProxy logs `stopped` like a failure; the description shows the difference.
    let described = match (style.admin_state, state) {
        (Preserve, ServerState::Maint) if style.description_detail != DescriptionDetail::None => {
            Description::lossy(&format!("maintenance {why}"))
        }
        _ => Description::lossy(why),
    };
    Reply {
        operational,
        administrative,
        percent: Some(percent),
        absolute: style.weight_form == WeightForm::Absolute,
        maxconn: style.maxconn,
        description: described,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(administration: AdminStatePolicy) -> ReplyStyle {
        ReplyStyle {
            floor: Percent::new(3).unwrap(),
            admin_state: administration,
            description_detail: DescriptionDetail::Full,
            maxconn: None,
            weight_form: WeightForm::Percent,
        }
    }

    #[test]
    fn every_state_has_its_reply_in_both_renderings() {
        let weight = ServerState::Weight(Percent::new(73).unwrap());
        for (state, preserve, manage) in [
            (ServerState::Full, "up 100% # x", "up ready 100% # x"),
            (weight.clone(), "up 73% # x", "up ready 73% # x"),
            (ServerState::Floor, "up 3% # x", "up ready 3% # x"),
            (ServerState::Drain, "up 0% # x", "up drain 100% # x"),
            (ServerState::Down, "down 100% # x", "down ready 100% # x"),
            (
                ServerState::Maint,
                "stopped 100% # maintenance x",
                "maint 100% # x",
            ),
        ] {
            let line_of = |administration| reply(&state, &style(administration), "x").to_string();
            assert_eq!(line_of(AdminStatePolicy::Preserve), preserve);
            assert_eq!(line_of(AdminStatePolicy::Manage), manage);
            let limited = ReplyStyle {
                maxconn: Maxconn::new(30),
                ..style(AdminStatePolicy::Manage)
            };
            let with_limit = manage.replace(" #", " maxconn:30 #");
            assert_eq!(reply(&state, &limited, "x").to_string(), with_limit);
        }
        let preserve = style(AdminStatePolicy::Preserve);
        let maint = reply(&ServerState::Maint, &preserve, "");
        assert_eq!(maint.to_string(), "stopped 100% # maintenance");
        let silent = ReplyStyle {
            description_detail: DescriptionDetail::None,
            ..preserve
        };
        assert_eq!(
            reply(&ServerState::Maint, &silent, "").to_string(),
            "stopped 100%"
        );
        // The weight itself, on the same scale.
        let absolute = ReplyStyle {
            weight_form: WeightForm::Absolute,
            ..style(AdminStatePolicy::Manage)
        };
        for (state, line) in [
            (ServerState::Full, "up ready weight:100"),
            (weight, "up ready weight:73"),
            (ServerState::Drain, "up drain weight:100"),
            (ServerState::Maint, "maint weight:100"),
        ] {
            assert_eq!(reply(&state, &absolute, "").to_string(), line);
        }
        let line = Reply::parse(b"up 5% # mine").unwrap();
        let line_of = reply(&ServerState::Raw(Box::new(line)), &preserve, "x");
        assert_eq!(line_of.to_string(), "up 5% # mine");
    }
}
