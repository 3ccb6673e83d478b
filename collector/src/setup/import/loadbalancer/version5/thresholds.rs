//! Thresholds: rules whose reply is the agent's command for the offline state.

use super::{Weighed, mean};
use crate::setup::import::document::{Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{
    ImportedReply, ImportedService, Note, Rule, UNDECIDED, condition_error,
};
use crate::setup::import::toml_writer::{excerpt, number};

/// Adds the rules for thresholds.
pub(super) fn rules(
    table: &mut Table<'_>,
    weighed: &[Weighed<'_>],
    sources: &str,
    service: &mut ImportedService,
    findings: &mut Findings,
) {
    let mode = table.text("threshold-mode", findings);
    let mode = mode.map_or("none".to_owned(), |mode| {
        mode.text.trim().to_ascii_lowercase()
    });
    let global = table
        .number("global-threshold", findings)
        .unwrap_or_default();
    let reply = offline_reply(table, service, findings);
    let (any, metric, overall) = match mode.as_str() {
        "none" => return,
        "any" => (true, true, true),
        "metric" => (false, true, false),
        "overall" => (false, false, true),
        other => {
            let why = format!(
                "threshold-mode {} is none of any, metric, overall and none",
                excerpt(other)
            );
            service.rule(undecided("threshold", &why, reply.as_ref()));
            return;
        }
    };
    let Some(reply) = reply else {
        service.not_moved(
            "the thresholds: haproxy-commands has no command for the offline state, so the agent sends a percentage \
             there too.",
        );
        return;
    };
    let mut conditions: Vec<(String, String, bool)> = Vec::new();
    // All thresholds have one reply, so the others are independent of these.
    let mut untranslated: Vec<(String, String)> = Vec::new();
    for one in weighed {
        let of_source = (metric && one.threshold > 0.0).then_some(one.threshold);
        let of_all = (any && global > 0.0).then_some(global);
        let limit = match (of_source, of_all) {
            (Some(one), Some(all)) => Some(one.min(all)),
            (one, all) => one.or(all),
        };
        if let Some(limit) = limit {
            if !one.is_translated() {
                let why = format!("monitor {} has no translation", excerpt(one.monitor.key));
                untranslated.push((format!("{}-threshold", one.monitor.name), why));
                continue;
            }
            let when = format!("{} >= {}", one.load(), number(limit));
            let name = format!("{}-threshold", one.monitor.name);
            conditions.push((name, when, one.monitor.of_system));
        }
    }
    if overall
        && global > 0.0
        && let Some(load) = mean(weighed, Weighed::load)
    {
        let when = format!("{load} >= {}", number(global));
        let mut significant = weighed.iter().filter(|one| one.significance > 0.0);
        if let Some(missing) = significant.find(|one| !one.is_translated()) {
            let why = format!(
                "monitor {} has no translation",
                excerpt(missing.monitor.key)
            );
            untranslated.push(("overall-threshold".into(), why));
        } else if conditions.iter().all(|(_, known, _)| *known != when) {
            // A single monitor has the same condition already.
            let mut significant = weighed.iter().filter(|one| one.significance > 0.0);
            let of_system = significant.all(|one| one.monitor.of_system);
            conditions.push(("overall-threshold".into(), when, of_system));
        }
    }
    let mut names = Names::default();
    for (name, when, of_system) in conditions {
        if let Some(why) = condition_error(sources, &when) {
            untranslated.push((name, format!("{}: {}", excerpt(&when), excerpt(&why))));
            continue;
        }
        let mut notes = Vec::new();
        if of_system {
            notes.push(Note::Mind(
                "a busy farm would empty itself node by node, in both programs. With reply = \"floor\" each server keeps \
                 a share."
                    .into(),
            ));
        }
        service.rule(Rule {
            name: names.service(&name),
            when,
            reply: reply.clone(),
            notes,
        });
    }
    for (name, why) in untranslated {
        service.rule(undecided(&names.service(&name), &why, Some(&reply)));
    }
}

/// A threshold without a translation.
fn undecided(name: &str, why: &str, reply: Option<&ImportedReply>) -> Rule {
    Rule {
        name: name.to_owned(),
        when: UNDECIDED.to_owned(),
        reply: reply.cloned().unwrap_or(ImportedReply::Undecided),
        notes: vec![Note::Undecided(format!(
            "{why}. Write the condition, or delete the rule."
        ))],
    }
}

/// The reply of the agent's command for a server beyond a threshold; `None` where there is no such command.
fn offline_reply(
    table: &mut Table<'_>,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Option<ImportedReply> {
    let commands = table.text("haproxy-commands", findings);
    let commands = commands.map_or("default", |commands| commands.text.trim());
    let words: Vec<&str> = match commands {
        "none" | "false" => Vec::new(),
        "default" => vec!["up", "ready", "drain"],
        // Of 5.1.
        "true" => vec!["up", "down"],
        words => words.split_whitespace().collect(),
    };
    let known = ["up", "ready", "drain", "down", "fail", "stopped", "maint"];
    for word in words.iter().filter(|word| !known.contains(*word)) {
        service.not_moved(format!(
            "HAProxy does not know the command {}.",
            excerpt(word)
        ));
    }
    let sends = |word: &str| words.contains(&word);
    if sends("ready") {
        service.differs(
            "the agent sends up ready for a while when a server comes back, which lifts a drain or maint that \
             operators set on the balancer. Here drain is sent as up 0%, and the next weight lifts it. With \
             admin_state = \"manage\" every healthy reply contains ready.",
        );
    }
    let state = if sends("maint") {
        "maint"
    } else if sends("down") || sends("fail") || sends("stopped") {
        "down"
    } else if sends("drain") {
        "drain"
    } else {
        return None;
    };
    Some(ImportedReply::State(state))
}
