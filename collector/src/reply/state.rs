//! The state of a server, and the options of its replies.

use agentcheck_common::{Percent, Reply};

/// The intended state of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// In, with its full weight.
    Full,
    /// In, with this percentage.
    Weight(Percent),
    /// In, at the floor.
    Floor,
    /// No new sessions; existing sessions continue.
    Drain,
    /// Failed.
    Down,
    /// Maintenance.
    Maint,
    /// A `raw_reply`.
    Raw(Box<Reply>),
    /// The last reply remains.
    Keep,
}

impl ServerState {
    /// The name in configuration and logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Weight(_) => "weight",
            Self::Floor => "floor",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Maint => "maint",
            Self::Raw(_) => "raw_reply",
            Self::Keep => "keep",
        }
    }

    /// Whether it takes the server out.
    #[must_use]
    pub fn takes_server_out(&self) -> bool {
        match self {
            Self::Drain | Self::Down | Self::Maint => true,
            Self::Raw(reply) => reply.takes_server_out(),
            Self::Full | Self::Weight(_) | Self::Floor | Self::Keep => false,
        }
    }
}

/// Who owns the administrative state on the balancer (ready, drain, maint).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminStatePolicy {
    /// The operators: replies never contain ready, drain or maint.
    Preserve,
    /// The agent: every reply contains it.
    Manage,
}

/// How replies set the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightForm {
    /// `N%`: a percentage of the weight on the server line.
    Percent,
    /// `weight:N`: the weight itself, 0 to 100, regardless of the server line. HAProxy 3.1 and later.
    Absolute,
}

/// How much the descriptions of replies contain. Each client that can connect can read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionDetail {
    /// What decided, and the numbers behind it.
    Full,
    /// What decided.
    State,
    /// Nothing.
    None,
}
