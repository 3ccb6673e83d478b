//! Thresholds: rules, which say what the agent's commands for the offline state say.

use super::{Weighed, mean};
use crate::setup::import::document::{Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{
    ImportedReply, ImportedService, Note, Rule, condition_refused,
};
use crate::setup::import::toml_writer::{number, shown};

/// The rules for thresholds, and what they say by the agent's commands.
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
    let say = offline(table, service, findings);
    let (any, metric, overall) = match mode.as_str() {
        "none" => return,
        "any" => (true, true, true),
        "metric" => (false, true, false),
        "overall" => (false, false, true),
        other => {
            service.not_moved(format!(
                "threshold-mode {} is none of any, metric, overall and none.",
                shown(other)
            ));
            return;
        }
    };
    let Some(say) = say else {
        service.not_moved(
            "the thresholds: without a command for the offline state among haproxy-commands the agent says a \
             percentage all the same.",
        );
        return;
    };
    let mut conditions: Vec<(String, String, bool)> = Vec::new();
    for one in weighed {
        let of_source = (metric && one.threshold > 0.0).then_some(one.threshold);
        let of_all = (any && global > 0.0).then_some(global);
        let limit = match (of_source, of_all) {
            (Some(one), Some(all)) => Some(one.min(all)),
            (one, all) => one.or(all),
        };
        if let Some(limit) = limit {
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
        // Alone, it says what its own threshold says.
        if conditions.iter().all(|(_, known, _)| *known != when) {
            let mut significant = weighed.iter().filter(|one| one.significance > 0.0);
            let of_system = significant.all(|one| one.monitor.of_system);
            conditions.push(("overall-threshold".into(), when, of_system));
        }
    }
    let mut names = Names::default();
    for (name, when, of_system) in conditions {
        if let Some(why) = condition_refused(sources, &when) {
            service.not_moved(format!("{}: {}.", shown(&when), shown(&why)));
            continue;
        }
        let mut notes = Vec::new();
        if of_system {
            notes.push(Note::Mind(
                "a busy farm would empty itself node by node, here as there; reply = \"floor\" keeps a share."
                    .into(),
            ));
        }
        service.rule(Rule {
            name: names.service(&name),
            when,
            say: say.clone(),
            notes,
        });
    }
}

/// What the agent's commands say of a server beyond a threshold.
fn offline(
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
        service.not_moved(format!("the command {} is none of HAProxy's.", shown(word)));
    }
    let says = |word: &str| words.contains(&word);
    if says("ready") {
        service.differs(
            "the agent says up ready for a while when a server comes back, which lifts a drain or maint that \
             operators set on the balancer. Here drain is said as up 0%, and the next weight takes it back; \
             admin_state = \"manage\" says ready every time.",
        );
    }
    let say = if says("maint") {
        "maint"
    } else if says("down") || says("fail") || says("stopped") {
        "down"
    } else if says("drain") {
        "drain"
    } else {
        return None;
    };
    Some(ImportedReply::Word(say))
}
