//! Thresholds: `[!<>=]N` on a number, and `pct`, the weight.

use super::action::{Action, Element};
use super::decision::Decision;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, finite};
use crate::setup::import::service::{Note, weight_error};
use crate::setup::import::toml_writer::{excerpt, number, string};

/// Adds the rules of thresholds, and the weight. Returns whether there is a `pct`.
pub(super) fn rules(
    elements: &[Element<'_>],
    metric: &str,
    decision: &mut Decision<'_>,
    findings: &mut Findings,
) -> bool {
    let mut weighed = false;
    for element in elements {
        let Some((operator, limit)) = comparison(element, decision, findings) else {
            continue;
        };
        if weighed {
            let element = excerpt(&format!("{} {}", element.action, element.value));
            let text = format!("{element}: pct before it always decides, in Herald too.");
            decision.service.not_moved(text);
            continue;
        }
        if element.action == "pct" {
            weighed = true;
            weight(element, metric, limit, decision, findings);
            continue;
        }
        let action = Action::of(element.action);
        let when = format!("{} {operator} {}", operand(metric), number(limit));
        let mut rule = decision.rule_of(element, &action, when);
        for (key, _) in &element.more {
            let text = format!(
                "{}: a threshold has one action, and Herald takes either one.",
                excerpt(key)
            );
            rule.notes.push(Note::NotMoved(text));
        }
        if matches!(action, Action::Healthy(..)) {
            let text = "Herald's reply keeps the weight as it was; full sets 100%.";
            rule.notes.push(Note::Differs(text.into()));
        }
        decision.service.rule(rule);
    }
    weighed
}

/// A metric as one side of a comparison.
fn operand(metric: &str) -> String {
    if metric.contains(['?', '&', '|', '<', '>', '!'])
        || metric.contains("==")
        || metric.contains(" in ")
    {
        format!("({metric})")
    } else {
        metric.to_owned()
    }
}

/// `[!<>=]N`: the operator here, and the limit.
fn comparison(
    element: &Element<'_>,
    decision: &mut Decision<'_>,
    findings: &mut Findings,
) -> Option<(&'static str, f64)> {
    const OPERATORS: [(&str, &str); 8] = [
        ("<=", "<="),
        (">=", ">="),
        ("==", "=="),
        ("!=", "!="),
        ("<", "<"),
        (">", ">"),
        ("=", "=="),
        ("!", "!="),
    ];
    let text = element.value.trim();
    let known = OPERATORS
        .iter()
        .find(|(python, _)| text.starts_with(python));
    let (written, operator) = known.copied().unwrap_or(("", "=="));
    let digits = text.get(written.len()..).unwrap_or_default();
    let limit = finite(digits);
    let Some(limit) = limit.filter(|limit| *limit >= 0.0) else {
        findings.push(
            Diagnostic::error(element.node.span.clone(), "invalid threshold")
                .remedy("write a number from 0 on, after !, <, > or =, as in '>7000'"),
        );
        return None;
    };
    let refused = written.len() > 1 || digits.starts_with(|c: char| !c.is_ascii_digit());
    if refused || !digits.trim().chars().all(|c| c.is_ascii_digit()) {
        let text = excerpt(text);
        let herald = if refused {
            "Herald does not start with it".to_owned()
        } else {
            let whole: String = digits.chars().take_while(char::is_ascii_digit).collect();
            format!(
                "Herald reads it as {}",
                excerpt(&format!("{written}{whole}"))
            )
        };
        decision
            .service
            .differs(format!("{text}: {herald}; here it means what is written."));
    }
    Some((operator, limit))
}

/// `pct` with `min_threshold_response`.
fn weight(
    element: &Element<'_>,
    metric: &str,
    limit: f64,
    decision: &mut Decision<'_>,
    findings: &mut Findings,
) {
    let mut least = 0.0;
    for (key, node) in &element.more {
        let percent = node.scalar().map(|text| text.trim_end_matches('%'));
        match percent.and_then(finite) {
            Some(value) if *key == "min_threshold_response" && value >= 0.0 => least = value,
            _ if *key == "min_threshold_response" => findings.push(
                Diagnostic::error(node.span.clone(), "invalid min_threshold_response")
                    .remedy("write a percentage from 0 to 100"),
            ),
            _ => {
                let text = format!("{} is not an option of pct.", excerpt(key));
                decision.service.not_moved(text);
            }
        }
    }
    let full = number(limit);
    if limit <= 0.0 {
        let why = format!("pct {full}: Herald divides by 0, and its poll fails");
        decision.service.undecided_weight(&why);
        return;
    }
    let weight = format!("headroom({metric}, {full})");
    if let Some(why) = weight_error(decision.source_table, &weight) {
        let why = format!("pct {full}: {}", excerpt(&why));
        decision.service.undecided_weight(&why);
        return;
    }
    let floor = least.clamp(1.0, 100.0).floor();
    if least < 1.0 {
        decision.service.differs(format!(
            "from {full} on Herald sends 0%. Here the floor is 1%, so that load never empties a farm."
        ));
    } else if least > 1.0 {
        decision.service.differs(format!(
            "Herald sends {}% only from {full} on, and less shortly before. Here the weight never falls below {}%.",
            number(least),
            number(floor)
        ));
    }
    decision
        .service
        .last_keys
        .insert(0, ("weight", string(&weight)));
    decision
        .service
        .last_keys
        .insert(1, ("floor", number(floor)));
}
