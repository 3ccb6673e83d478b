//! The words of a reply.

use agentcheck_common::{
    AdministrativeState, Description, Maxconn, OperationalState, Percent, Reply,
};

/// A reply without its description: a fifth of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyWords {
    /// The operational state.
    pub operational: Option<OperationalState>,
    administrative: Option<AdministrativeState>,
    percent: Option<Percent>,
    absolute: bool,
    maxconn: Option<Maxconn>,
}

impl ReplyWords {
    /// The words of a reply.
    #[must_use]
    pub fn of(reply: &Reply) -> Self {
        Self {
            operational: reply.operational,
            administrative: reply.administrative,
            percent: reply.percent,
            absolute: reply.absolute,
            maxconn: reply.maxconn,
        }
    }

    /// The reply with these words and a description.
    #[must_use]
    pub fn with_description(self, description: Description) -> Reply {
        Reply {
            operational: self.operational,
            administrative: self.administrative,
            percent: self.percent,
            absolute: self.absolute,
            maxconn: self.maxconn,
            description,
        }
    }

    /// The reply with these words alone.
    #[must_use]
    pub fn bare(self) -> Reply {
        self.with_description(Description::EMPTY)
    }
}
