//! The order of the rules: patterns and thresholds, in each list the first that matches. Herald sends both
//! results on one line.

use super::action::Action;
use super::decision::{Decision, Document, PluginRules};
use super::{patterns, thresholds};
use crate::setup::import::document::{Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::python;
use crate::setup::import::service::{ALWAYS, ImportedReply, ImportedService, Note, Rule};
use crate::setup::import::toml_writer::excerpt;

/// Adds weight and rules to the service. Returns whether one of Herald's replies contains `ready`.
pub(super) fn decide(
    plugin: PluginRules<'_, '_>,
    table: &mut Table<'_>,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> bool {
    let document = match plugin.document {
        Document::Json => format!("{}.json", plugin.source),
        Document::Text => format!("{}.text", plugin.source),
        Document::Number => format!("{}.value", plugin.source),
    };
    let mut metric = |key: &str| {
        let text = table.text(key, findings);
        let text = text.as_ref().map_or("r", |text| text.text);
        python::translate(text, &document)
            .map_err(|error| format!("{key} {}: {error}", excerpt(text)))
    };
    let pattern_metric = metric("patterns_metric");
    let threshold_metric = metric("thresholds_metric");
    let mut names = Names::default();
    // The rule for staleness comes first.
    names.service("stale");
    let mut decision = Decision {
        service,
        names,
        ready: plugin.default.ready(),
        source_table: plugin.source_table,
    };
    let both = !plugin.patterns.is_empty() && !plugin.thresholds.is_empty();
    if both {
        decision.service.differs(
            "Herald sends the results of a pattern and of a threshold on one line. Here one of them decides: patterns \
             come first, and a healthy pattern leaves the decision to the thresholds.",
        );
    }
    let mut healthy = Vec::new();
    match pattern_metric {
        _ if plugin.patterns.is_empty() => {}
        Ok(metric) => healthy = patterns::rules(&plugin, &metric, both, &mut decision),
        Err(why) => decision.undecided_list("patterns", &why),
    }
    let mut weighed = false;
    match threshold_metric {
        _ if plugin.thresholds.is_empty() => {}
        Ok(metric) => {
            weighed = thresholds::rules(&plugin.thresholds, &metric, &mut decision, findings);
        }
        Err(why) => {
            weighed = plugin
                .thresholds
                .iter()
                .any(|element| element.action == "pct");
            if plugin
                .thresholds
                .iter()
                .any(|element| element.action != "pct")
            {
                decision.undecided_list("thresholds", &why);
            }
            if weighed {
                decision.service.undecided_weight(&why);
            }
        }
    }
    if !weighed {
        for rule in healthy {
            decision.service.rule(rule);
        }
    }
    default(&plugin.default, weighed, &mut decision);
    decision.ready
}

/// `default_response`, for when no element matches.
fn default(action: &Action, weighed: bool, decision: &mut Decision<'_>) {
    match action.rule_reply() {
        _ if weighed && *action == Action::Nothing => {}
        _ if weighed => decision
            .service
            .not_moved("default_response: pct always decides, in Herald too."),
        ImportedReply::State("full") => {}
        reply => {
            let note = match action {
                Action::Nothing => {
                    "default_response noop: where nothing matches, the last reply stays."
                }
                _ => "default_response",
            };
            decision.service.rule(Rule {
                name: decision.names.service("default"),
                when: ALWAYS.into(),
                reply,
                notes: vec![Note::Plain(note.into())],
            });
        }
    }
}
