//! The input of one plugin's patterns and thresholds, and the service that they build.

use super::action::{Action, Element};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{
    ImportedReply, ImportedService, Note, Rule, UNDECIDED, condition_error,
};
use crate::setup::import::toml_writer::excerpt;

/// The kind of Herald's `r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// A JSON document.
    Json,
    /// Text, for patterns.
    Text,
    /// Text that is used as a number only.
    Number,
}

/// The deciding parts of a plugin.
pub(super) struct PluginRules<'n, 's> {
    pub(super) patterns: Vec<Element<'n>>,
    pub(super) thresholds: Vec<Element<'n>>,
    pub(super) default: Action,
    pub(super) document: Document,
    pub(super) source: &'s str,
    /// The source's table in TOML.
    pub(super) source_table: &'s str,
    pub(super) from_file: bool,
}

/// A service while its rules are added.
pub(super) struct Decision<'s> {
    pub(super) service: &'s mut ImportedService,
    pub(super) names: Names,
    /// Whether a reply so far contains `ready`.
    pub(super) ready: bool,
    /// The source's table in TOML.
    pub(super) source_table: &'s str,
}

impl Decision<'_> {
    /// The rule for an element; undecided where its condition has no translation.
    pub(super) fn rule_of(&mut self, element: &Element<'_>, action: &Action, when: String) -> Rule {
        let subject = excerpt(&format!("{} for {}", element.action, element.value));
        let mut notes = Vec::new();
        let mut when = when;
        if let Some(why) = condition_error(self.source_table, &when) {
            notes.push(Note::Undecided(format!(
                "{subject}: {}. Write the condition, or delete the rule.",
                excerpt(&why)
            )));
            UNDECIDED.clone_into(&mut when);
        }
        if let Action::Unknown(why) = action {
            notes.push(Note::Plain(format!(
                "{subject}: {}, so it changes nothing.",
                excerpt(why)
            )));
        }
        self.ready |= action.ready();
        Rule {
            name: self.names.service(element.action),
            when,
            reply: action.rule_reply(),
            notes,
        }
    }

    /// An undecided rule in the place of all elements of a list.
    pub(super) fn undecided_list(&mut self, name: &str, why: &str) {
        let rule = Rule {
            name: self.names.service(name),
            when: UNDECIDED.to_owned(),
            reply: ImportedReply::Undecided,
            notes: vec![Note::Undecided(format!(
                "{name}: {why}. Write the rules, or delete this one."
            ))],
        };
        self.service.rule(rule);
    }
}
