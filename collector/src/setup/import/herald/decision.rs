//! What the patterns and thresholds of one plugin work on, and the service that they build.

use super::action::{Action, Element};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{ImportedService, Rule, condition_refused};
use crate::setup::import::toml_writer::shown;

/// What Herald's `r` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// A JSON document.
    Json,
    /// Text, for patterns.
    Text,
    /// Text that is only counted with.
    Number,
}

/// What decides, and what it is about.
pub(super) struct Given<'n, 's> {
    pub(super) patterns: Vec<Element<'n>>,
    pub(super) thresholds: Vec<Element<'n>>,
    pub(super) default: Action,
    pub(super) document: Document,
    pub(super) source: &'s str,
    /// The source's table in TOML.
    pub(super) made: &'s str,
    pub(super) from_file: bool,
}

/// A service while it is decided on.
pub(super) struct Decision<'s> {
    pub(super) service: &'s mut ImportedService,
    pub(super) names: Names,
    pub(super) ready: bool,
    pub(super) made: &'s str,
}

impl Decision<'_> {
    /// A rule, or a note why there is none.
    pub(super) fn made(&mut self, what: &str, action: &Action, when: String) -> Option<Rule> {
        let why = match (action, condition_refused(self.made, &when)) {
            (Action::Unknown(why), _) => why.clone(),
            (Action::Nothing, _) => "it says nothing to HAProxy".to_owned(),
            (_, Some(why)) => why,
            (action, None) => {
                self.ready |= action.ready();
                let say = action.rule()?;
                return Some(Rule {
                    name: self.names.service(what),
                    when,
                    say,
                    notes: Vec::new(),
                });
            }
        };
        self.service
            .not_moved(format!("{}: {}.", shown(what), shown(&why)));
        None
    }
}
