//! All about one service.

use super::words::{age, badge, cut, stamp};
use super::{Input, Service, plots};
use crate::render::plot::escaped;
use crate::render::text::{counted, number};
use crate::status::overview::Freshness;
use crate::status::snapshot::{OverrideStatus, RuleStatus, WeightStatus};
use agentcheck_common::BootTime;
use std::fmt::Write as _;

/// The most rows of a table within a service.
pub(super) const MOST_ROWS: usize = 50;

/// How many of the last changes are told.
const LAST_CHANGES: usize = 10;

/// What decided, in a few words.
pub(super) fn decided(service: &Service<'_>) -> String {
    let Some(status) = &service.now.known else {
        return "the collector does not know this service".to_owned();
    };
    let why = escaped(&cut(status.why.as_deref().unwrap_or_default(), 200));
    match status.decided_by.as_deref() {
        Some("failure") => format!("a failure, {why}"),
        Some("rule") => format!("the rule {why}"),
        Some("weight") => format!("the weight, {why}"),
        Some("override") => format!("an override, {why}"),
        Some(by) => format!("{}: {why}", escaped(&cut(by, 20))),
        None => "nothing yet, for want of readings".to_owned(),
    }
}

/// The whole account of it; `open` shows the details at once.
pub(super) fn article(html: &mut String, input: &Input<'_>, service: &Service<'_>, open: bool) {
    let name = escaped(&service.now.name);
    let _ = writeln!(
        html,
        "<article id=\"service-{name}\" aria-labelledby=\"name-{name}\">\n\
         <h3 id=\"name-{name}\">{name} {}</h3>",
        badge(service.reply())
    );
    said(html, input, service);
    if let Some(status) = &service.now.known {
        for one in status.overrides.iter().take(MOST_ROWS) {
            override_line(html, input, one);
        }
        if let Some(lift) = &status.ready_window {
            let _ = writeln!(
                html,
                "<p>Lift of the balancers&#39; own states: {}</p>",
                escaped(lift)
            );
        }
    }
    if let Some(story) = &service.story {
        plots::draw(html, input, &service.now.name, story);
    }
    let mut inner = String::new();
    let mut parts = Vec::new();
    if let Some(status) = &service.now.known {
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

/// What is said, for how long, and why.
fn said(html: &mut String, input: &Input<'_>, service: &Service<'_>) {
    let now = input.account.now;
    let _ = match &service.now.current {
        Ok(said) => {
            let fresh = match said.fresh {
                Some(Freshness::Until(until)) => format!("good for {} more", age(until.since(now))),
                Some(Freshness::Stale(since)) => {
                    format!("stale: not renewed for {}", age(now.since(since)))
                }
                None => "until a collector says otherwise".to_owned(),
            };
            let next = said.next.as_ref().map_or(String::new(), |(_, reply)| {
                format!("; then <code>{}</code>", escaped(&reply.to_string()))
            });
            writeln!(
                html,
                "<p>Said: <code>{}</code> <small>({fresh}{next})</small></p>",
                escaped(&said.reply.to_string())
            )
        }
        Err(word) => writeln!(
            html,
            "<p class=\"note bad\"><strong>Nothing that HAProxy understands</strong> is said: \
             <code>{}</code>, which changes nothing.</p>",
            escaped(&cut(word, 200))
        ),
    };
    let of = service
        .now
        .known
        .as_ref()
        .and_then(|known| known.oldest_reading_at);
    let of = of.map_or(String::new(), |of| {
        format!(", by readings {} old", input.ago(of))
    });
    let _ = writeln!(html, "<p>What decided: {}{of}</p>", decided(service));
}

fn override_line(html: &mut String, input: &Input<'_>, one: &OverrideStatus) {
    let counts = if one.counts {
        "in effect"
    } else {
        "stands, but another comes first"
    };
    #[allow(clippy::cast_precision_loss)] // seconds since 1970
    let set = stamp(one.set as f64);
    let _ = write!(
        html,
        "<p class=\"note set\">Override: <strong>{}</strong> for {}, {counts}; set by {} at {set}",
        escaped(&cut(&one.action.to_string(), 50)),
        if one.scope == "all" {
            "all services"
        } else {
            "this service"
        },
        escaped(&cut(&one.by, 100))
    );
    if let Some(ends) = one.ends {
        let ends = BootTime(ends);
        let left = age(ends.since(input.account.now));
        let _ = match ends > input.account.now {
            true => write!(html, ", ends in {left}"),
            false => write!(html, ", has ended"),
        };
    }
    if let Some(until) = &one.until {
        let _ = write!(html, ", until <code>{}</code>", escaped(&cut(until, 200)));
    }
    if !one.reason.is_empty() {
        let _ = write!(html, ". Reason: {}", escaped(&cut(&one.reason, 200)));
    }
    html.push_str("</p>\n");
}

fn stages(html: &mut String, weight: &WeightStatus) {
    html.push_str(
        "<h4>From the expression to what is said</h4>\n<div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">expression</th><th scope=\"col\">average</th><th scope=\"col\">ramp</th>\
         <th scope=\"col\">bounds</th><th scope=\"col\">steps</th><th scope=\"col\">said</th></tr></thead>\
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
        html.push_str("<p>It is on its way back: the ramp holds it.</p>\n");
    }
    if let Some(basis) = &weight.basis {
        let _ = writeln!(html, "<p>The capacity is {}.</p>", escaped(basis));
    }
}

fn rules(html: &mut String, input: &Input<'_>, rules: &[RuleStatus]) {
    html.push_str(
        "<h4>Rules</h4>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Rule</th>\
         <th scope=\"col\">Holds</th><th scope=\"col\">Condition</th></tr></thead><tbody>\n",
    );
    for rule in rules.iter().take(MOST_ROWS) {
        let mut held = match rule.active {
            Some(true) => "<strong>yes</strong>".to_owned(),
            Some(false) => "no".to_owned(),
            None => "not known".to_owned(),
        };
        if let Some(changing) = rule.pending_since {
            let _ = write!(
                held,
                "<br><small>changing, for {}</small>",
                input.ago(changing)
            );
        }
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{held}</td><td><code>{}</code></td></tr>",
            escaped(&cut(&rule.name, 100)),
            escaped(&cut(&rule.when, 200))
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
         <th scope=\"col\">Said</th><th scope=\"col\">Decided by</th></tr></thead><tbody>\n",
    );
    for entry in story.entries.iter().rev().take(LAST_CHANGES) {
        let mut by = escaped(&cut(&entry.by, 20));
        if !entry.why.is_empty() {
            let _ = write!(by, ": {}", escaped(&cut(&entry.why, 200)));
        }
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td><code>{}</code></td><td>{by}</td></tr>",
            stamp(entry.time),
            escaped(&cut(&entry.reply, 500))
        );
    }
    html.push_str("</tbody></table></div>\n");
}
