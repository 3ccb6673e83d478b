//! Where a server should be, and how its replies are written.

use agentcheck_common::{Percent, Reply};

/// Where a server should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// All the traffic it is configured for.
    Full,
    /// This share of it.
    Weight(Percent),
    /// The least that load may lead to.
    Floor,
    /// No new sessions; existing ones go on.
    Drain,
    /// Not working.
    Down,
    /// Out of service, on purpose.
    Maint,
    /// An exact line.
    Raw(Reply),
    /// The last reply remains.
    Keep,
}

impl ServerState {
    /// The word that configuration and logs use.
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

    /// Whether it takes the server out of service.
    #[must_use]
    pub fn takes_out(&self) -> bool {
        match self {
            Self::Drain | Self::Down | Self::Maint => true,
            Self::Raw(reply) => reply.takes_out(),
            Self::Full | Self::Weight(_) | Self::Floor | Self::Keep => false,
        }
    }
}

/// Who owns the administrative state on the balancer (ready, drain, maint).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// The operators: replies never say ready, drain or maint.
    Preserve,
    /// The agent: replies say it every time.
    Manage,
}

/// How replies set the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightForm {
    /// `N%`: a percentage of the weight on the server line.
    Percent,
    /// `weight:N`: the weight itself, 0 to 100, whatever is on the server line. HAProxy 3.1 and later.
    Absolute,
}

/// How much the descriptions of replies tell: whoever can connect can read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionDetail {
    /// Who decided, and the numbers that led to it.
    Full,
    /// Who decided.
    State,
    /// Nothing.
    None,
}
