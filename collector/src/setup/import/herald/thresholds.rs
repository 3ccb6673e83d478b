//! Thresholds: `[!<>=]N` on a number, and `pct`, the weight.

use super::action::{Action, Element};
use super::decision::Decision;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, finite};
use crate::setup::import::service::{Note, weight_refused};
use crate::setup::import::toml_writer::{number, shown, string};

/// The rules of thresholds, and the weight; says whether there is one.
pub(super) fn rules(
    elements: &[Element<'_>],
    metric: &str,
    decision: &mut Decision<'_>,
    findings: &mut Findings,
) -> bool {
    let mut weighed = false;
    for element in elements {
        let what = format!("{} {}", element.action, element.value);
        let Some((operator, limit)) = comparison(element, decision, findings) else {
            continue;
        };
        if weighed {
            let what = shown(&what);
            let text = format!("{what}: pct before it always answers, in Herald too.");
            decision.service.not_moved(text);
            continue;
        }
        if element.action == "pct" {
            weighed = weight(element, metric, limit, decision, findings);
            continue;
        }
        let action = Action::of(element.action);
        let when = format!("{} {operator} {}", operand(metric), number(limit));
        let Some(mut rule) = decision.made(&what, &action, when) else {
            continue;
        };
        rule.name = decision.names.service(element.action);
        for extra in &element.more {
            let text = format!(
                "{}: a threshold has one action, Herald takes either.",
                shown(extra.0)
            );
            rule.notes.push(Note::NotMoved(text));
        }
        if matches!(action, Action::Healthy(..)) {
            let text = "Herald's word leaves the weight as it was; full says 100%.";
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

/// `[!<>=]N`: how it compares, and with what.
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
            Diagnostic::error(element.node.span.clone(), "this is no threshold")
                .remedy("a number from 0 on, with !, <, > or = before it, as in '>7000'"),
        );
        return None;
    };
    let refused = written.len() > 1 || digits.starts_with(|c: char| !c.is_ascii_digit());
    if refused || !digits.trim().chars().all(|c| c.is_ascii_digit()) {
        let text = shown(text);
        let read = if refused {
            "Herald does not start with it".to_owned()
        } else {
            let whole: String = digits.chars().take_while(char::is_ascii_digit).collect();
            format!("Herald reads it as {}", shown(&format!("{written}{whole}")))
        };
        decision
            .service
            .differs(format!("{text}: {read}; here it is what it says."));
    }
    Some((operator, limit))
}

/// `pct` with `min_threshold_response`; says whether there is a weight then.
fn weight(
    element: &Element<'_>,
    metric: &str,
    limit: f64,
    decision: &mut Decision<'_>,
    findings: &mut Findings,
) -> bool {
    let mut least = 0.0;
    for (key, node) in &element.more {
        let percent = node.scalar().map(|text| text.trim_end_matches('%'));
        match percent.and_then(finite) {
            Some(value) if *key == "min_threshold_response" && value >= 0.0 => least = value,
            _ if *key == "min_threshold_response" => findings.push(
                Diagnostic::error(node.span.clone(), "min_threshold_response is no percentage")
                    .remedy("a number from 0 to 100"),
            ),
            _ => {
                let text = format!("{} belongs to no pct.", shown(key));
                decision.service.not_moved(text);
            }
        }
    }
    let full = number(limit);
    if limit <= 0.0 {
        let text = format!("pct {full}: nothing is a part of it; Herald's poll fails.");
        decision.service.not_moved(text);
        return false;
    }
    let weight = format!("headroom({metric}, {full})");
    if let Some(why) = weight_refused(decision.made, &weight) {
        decision
            .service
            .not_moved(format!("pct {full}: {}.", shown(&why)));
        return false;
    }
    let floor = least.clamp(1.0, 100.0).floor();
    if least < 1.0 {
        decision.service.differs(format!(
            "at {full} and above Herald says 0%; here the floor is 1%, so that load never empties a farm."
        ));
    } else if least > 1.0 {
        decision.service.differs(format!(
            "Herald says {}% only at {full} and above, and less shortly before; here the weight never falls \
             below {}%.",
            number(least),
            number(floor)
        ));
    }
    decision.service.keys.insert(0, ("weight", string(&weight)));
    decision.service.keys.insert(1, ("floor", number(floor)));
    true
}
