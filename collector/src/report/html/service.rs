//! The article about one service.

use super::words::{age, badge, cut, shown, stamp};
use super::{Input, Service, plots};
use crate::render::text::{counted, number};
use crate::status::overview::Freshness;
use crate::status::snapshot::{OverrideStatus, RuleStatus, WeightStatus};
use agentcheck_common::BootTime;
use std::fmt::Write as _;

/// The most rows of a table within a service.
pub(super) const MOST_ROWS: usize = 50;

/// The most of the last changes in the table.
const LAST_CHANGES: usize = 10;

/// What decided the reply, in a few words.
pub(super) fn decided(service: &Service<'_>) -> String {
    let Some(status) = &service.now.snapshot else {
        return "not in the status snapshot".to_owned();
    };
    let why = shown(&cut(status.why.as_deref().unwrap_or_default(), 200));
    match status.decided_by.as_deref() {
        Some("failure") => format!("failure: {why}"),
        Some("rule") => format!("rule {why}"),
        Some("weight") => format!("weight {why}"),
        Some("override") => format!("override {why}"),
        Some(by) => format!("{}: {why}", shown(&cut(by, 20))),
        None => "no reply yet".to_owned(),
    }
}

/// The article; with `open` its details are open.
pub(super) fn article(html: &mut String, input: &Input<'_>, service: &Service<'_>, open: bool) {
    let name = shown(&service.now.name);
    let _ = writeln!(
        html,
        "<article id=\"service-{name}\" aria-labelledby=\"name-{name}\">\n\
         <h3 id=\"name-{name}\">{name} {}</h3>",
        badge(service.reply())
    );
    reply(html, input, service);
    if let Some(status) = &service.now.snapshot {
        for one in status.overrides.iter().take(MOST_ROWS) {
            override_line(html, input, one);
        }
        if let Some(id) = &status.ready_window {
            let _ = writeln!(
                html,
                "<p>Replies contain <code>ready</code>: command {}</p>",
                shown(id)
            );
        }
    }
    if let Some(story) = &service.story {
        plots::draw(html, input, &service.now.name, story);
    }
    let mut inner = String::new();
    let mut parts = Vec::new();
    if let Some(status) = &service.now.snapshot {
        if let Some(weight) = &status.weight {
            parts.push("stages of the weight".to_owned());
            stages(&mut inner, weight);
        }
        if !status.rules.is_empty() {
            parts.push(counted(status.rules.len(), "rule"));
            rules(&mut inner, input, &status.rules);
        }
    }
    if let Some(story) = &service.story {
        parts.push("last changes".to_owned());
        changes(&mut inner, story);
    }
    if !inner.is_empty() {
        let _ = writeln!(
            html,
            "<details{}><summary>Details: {}</summary>\n{inner}</details>",
            if open { " open" } else { "" },
            parts.join(", ")
        );
    }
    html.push_str("</article>\n");
}

/// The reply, until when it is fresh, and what decided it.
fn reply(html: &mut String, input: &Input<'_>, service: &Service<'_>) {
    let now = input.overview.now;
    let _ = match &service.now.current {
        Ok(current) => {
            let fresh = match current.freshness {
                Some(Freshness::Until(until)) => format!("fresh for {}", age(until.since(now))),
                Some(Freshness::Stale(since)) => {
                    format!("stale for {}", age(now.since(since)))
                }
                None => "no expiry".to_owned(),
            };
            let next = current.next.as_ref().map_or(String::new(), |(_, reply)| {
                format!("; then <code>{}</code>", shown(&reply.to_string()))
            });
            writeln!(
                html,
                "<p>Reply: <code>{}</code> <small>({fresh}{next})</small></p>",
                shown(&current.reply.to_string())
            )
        }
        Err(no_op) => writeln!(
            html,
            "<p class=\"note bad\"><strong>No valid reply</strong>: probes get the no-op reply \
             <code>{}</code>.</p>",
            shown(&cut(no_op, 200))
        ),
    };
    let oldest = service
        .now
        .snapshot
        .as_ref()
        .and_then(|known| known.oldest_reading_at);
    let oldest = oldest.map_or(String::new(), |at| {
        format!("; oldest reading {} ago", input.ago(at))
    });
    let _ = writeln!(html, "<p>Decided by: {}{oldest}</p>", decided(service));
}

fn override_line(html: &mut String, input: &Input<'_>, one: &OverrideStatus) {
    let counts = if one.counts {
        "in effect"
    } else {
        "not in effect, because another override outranks it"
    };
    #[allow(clippy::cast_precision_loss)] // seconds since 1970
    let set = stamp(one.set as f64);
    let _ = write!(
        html,
        "<p class=\"note set\">Override: <strong>{}</strong> for {}, {counts}; set by {} at {set}",
        shown(&cut(&one.action.to_string(), 50)),
        if one.scope == "all" {
            "all services"
        } else {
            "this service"
        },
        shown(&cut(&one.by, 100))
    );
    if let Some(ends) = one.ends {
        let ends = BootTime(ends);
        let left = age(ends.since(input.overview.now));
        let _ = match ends > input.overview.now {
            true => write!(html, ", ends in {left}"),
            false => write!(html, ", has ended"),
        };
    }
    if let Some(until) = &one.until {
        let _ = write!(html, ", until <code>{}</code>", shown(&cut(until, 200)));
    }
    if !one.reason.is_empty() {
        let _ = write!(html, ". Reason: {}", shown(&cut(&one.reason, 200)));
    }
    html.push_str("</p>\n");
}

fn stages(html: &mut String, weight: &WeightStatus) {
    html.push_str(
        "<h4>From the expression to the reply</h4>\n<div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">expression</th><th scope=\"col\">ewma</th><th scope=\"col\">ramp</th>\
         <th scope=\"col\">bounds</th><th scope=\"col\">steps</th><th scope=\"col\">reply</th></tr></thead>\
         <tbody><tr>",
    );
    let stages = [
        weight.raw,
        weight.smoothed,
        weight.ramped,
        weight.bounded,
        weight.stepped,
        f64::from(weight.percent),
    ];
    for stage in stages {
        let _ = write!(html, "<td class=\"number\">{}%</td>", number(stage));
    }
    html.push_str("</tr></tbody></table></div>\n");
    if weight.ramping {
        html.push_str("<p>The ramp is running.</p>\n");
    }
    if let Some(basis) = &weight.basis {
        let _ = writeln!(html, "<p>The capacity is {}.</p>", shown(basis));
    }
}

fn rules(html: &mut String, input: &Input<'_>, rules: &[RuleStatus]) {
    html.push_str(
        "<h4>Rules</h4>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Rule</th>\
         <th scope=\"col\">State</th><th scope=\"col\">Condition</th></tr></thead><tbody>\n",
    );
    for rule in rules.iter().take(MOST_ROWS) {
        let mut state = match rule.active {
            Some(true) => "<strong>active</strong>".to_owned(),
            Some(false) => "inactive".to_owned(),
            None => "unknown".to_owned(),
        };
        if let Some(pending) = rule.pending_since {
            let _ = write!(
                state,
                "<br><small>change pending for {}</small>",
                input.ago(pending)
            );
        }
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{state}</td><td><code>{}</code></td></tr>",
            shown(&cut(&rule.name, 100)),
            shown(&cut(&rule.when, 200))
        );
    }
    html.push_str("</tbody></table></div>\n");
    if rules.len() > MOST_ROWS {
        let _ = writeln!(html, "<p>… and {} more.</p>", rules.len() - MOST_ROWS);
    }
}

fn changes(html: &mut String, story: &plots::Story<'_>) {
    html.push_str(
        "<h4>Last changes</h4>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">When</th>\
         <th scope=\"col\">Reply</th><th scope=\"col\">Decided by</th></tr></thead><tbody>\n",
    );
    for entry in story.entries.iter().rev().take(LAST_CHANGES) {
        let mut by = shown(&cut(&entry.by, 20));
        if !entry.why.is_empty() {
            let _ = write!(by, ": {}", shown(&cut(&entry.why, 200)));
        }
        if !entry.limit.is_empty() {
            let _ = write!(by, ", limit {}", shown(&cut(&entry.limit, 200)));
        }
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td><code>{}</code></td><td>{by}</td></tr>",
            stamp(entry.time),
            shown(&cut(&entry.reply, 500))
        );
    }
    html.push_str("</tbody></table></div>\n");
}
