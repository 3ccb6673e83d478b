//! What decides: patterns and thresholds in order, the first of each list that matches; Herald says what both
//! gave on one line.

use super::action::Action;
use super::decision::{Decision, Document, Given};
use super::{patterns, thresholds};
use crate::setup::import::document::{Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::python;
use crate::setup::import::service::{ImportedReply, ImportedService, Note, Rule};
use crate::setup::import::toml_writer::shown;

/// Puts weight and rules into the service; says whether Herald says ready.
pub(super) fn decide(
    given: Given<'_, '_>,
    table: &mut Table<'_>,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> bool {
    let document = match given.document {
        Document::Json => format!("{}.json", given.source),
        Document::Text => format!("{}.text", given.source),
        Document::Number => format!("{}.value", given.source),
    };
    let mut metric = |key: &str, used: bool, service: &mut ImportedService| {
        let text = table.text(key, findings);
        let text = text.as_ref().map_or("r", |text| text.text);
        if !used {
            return None;
        }
        match python::translate(text, &document) {
            Ok(made) => Some(made),
            Err(why) => {
                let text = shown(text);
                service.not_moved(format!("{key} {text}, and what rests on it: {why}."));
                None
            }
        }
    };
    let of_patterns = metric("patterns_metric", !given.patterns.is_empty(), service);
    let of_thresholds = metric("thresholds_metric", !given.thresholds.is_empty(), service);
    let mut names = Names::default();
    // The rule for staleness comes first.
    names.service("stale");
    let mut decision = Decision {
        service,
        names,
        ready: given.default.ready(),
        made: given.made,
    };
    let both = !given.patterns.is_empty() && !given.thresholds.is_empty();
    if both {
        decision.service.differs(
            "Herald says on one line what a pattern and what a threshold gave; here one of them decides, \
             patterns first, and a healthy pattern leaves it to the thresholds.",
        );
    }
    let mut healthy = Vec::new();
    if let Some(metric) = of_patterns {
        healthy = patterns::rules(&given, &metric, both, &mut decision);
    }
    let mut weighed = false;
    if let Some(metric) = of_thresholds {
        weighed = thresholds::rules(&given.thresholds, &metric, &mut decision, findings);
    }
    if !weighed {
        for rule in healthy {
            decision.service.rule(rule);
        }
    }
    default(&given.default, weighed, &mut decision);
    decision.ready
}

/// `default_response`, for when nothing else was said.
fn default(action: &Action, weighed: bool, decision: &mut Decision<'_>) {
    match action.rule() {
        Some(_) if weighed => decision
            .service
            .not_moved("default_response: pct always answers, in Herald too."),
        None if weighed => {}
        None => decision.service.differs(
            "where nothing matches Herald says an empty line, which changes nothing (default_response noop); \
             here it is full.",
        ),
        Some(ImportedReply::Word("full")) => {}
        Some(say) => {
            let notes = vec![Note::Plain("default_response".into())];
            decision.service.rule(Rule {
                name: decision.names.service("default"),
                when: "true".into(),
                say,
                notes,
            });
        }
    }
}
