//! agent-config.json, from version 5 on: monitors, and responders that weigh them by significance.

mod monitors;
mod thresholds;

use super::AGENT;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Entry, Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{ImportedService, Note, weight_refused, write_note};
use crate::setup::import::toml_writer::{Output, number, shown, string};
use crate::setup::import::{Reached, json, listening, opening, unknown};
use monitors::{Monitor, monitors};
use std::path::Path;

/// A monitor as a responder weighs it.
struct Weighed<'m> {
    monitor: &'m Monitor<'m>,
    significance: f64,
    most: f64,
    threshold: f64,
}

impl Weighed<'_> {
    fn value(&self) -> String {
        format!("{}.value", self.monitor.name)
    }

    /// The load in per cent.
    fn load(&self) -> String {
        match self.monitor.percentage && self.most == 100.0 {
            true => self.value(),
            false => format!(
                "clamp(100 * {} / {}, 0, 100)",
                self.value(),
                number(self.most)
            ),
        }
    }
}

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<String> {
    let root = json::read(text, findings)?;
    let mut top = Table::of(&root, "the file", findings)?;
    let mut output = Output::default();
    opening(&mut output, AGENT, file);
    let monitors = monitors(&mut top, findings)?;
    let responders = entries(&mut top, "responders", findings)?;
    top.take("log-dir");
    // Not to be shown.
    top.take("api-key");
    let mut sources = String::new();
    for monitor in &monitors {
        sources.push_str(monitor.source.as_deref().unwrap_or_default());
    }
    let mut names = Names::default();
    let mut made = Vec::new();
    output.gap();
    for entry in responders {
        made.extend(responder(
            entry,
            &monitors,
            &sources,
            &mut names,
            &mut output,
            findings,
        ));
    }
    if made.is_empty() && findings.is_empty() {
        findings.push(
            Diagnostic::error(root.span.clone(), "there is no responder for HAProxy")
                .remedy("responders with protocol tcp, as the agent writes them"),
        );
    }
    let reached: Vec<Reached<'_>> = made.iter().map(Responder::reached).collect();
    listening(&mut output, &reached);
    for entry in top.left() {
        output.not_moved(&unknown(entry, "the agent's"));
    }
    for monitor in &monitors {
        output.gap();
        for note in &monitor.notes {
            write_note(note, &mut output);
        }
        output.append(monitor.source.as_deref().unwrap_or_default());
    }
    for responder in &made {
        responder.service.write(&mut output);
    }
    Some(output.finish())
}

/// The entries of a table of tables.
fn entries<'n>(top: &mut Table<'n>, key: &str, findings: &mut Findings) -> Option<Vec<&'n Entry>> {
    let Some(node) = top.take(key) else {
        findings.push(
            Diagnostic::error(top.span.start..top.span.start, format!("no {key} here"))
                .remedy("is it the agent's agent-config.json?"),
        );
        return None;
    };
    Some(Table::of(node, key, findings)?.left())
}

/// A responder, and where it listens.
struct Responder<'n> {
    service: ImportedService,
    ip: Option<&'n str>,
    port: Option<&'n str>,
}

impl Responder<'_> {
    fn reached(&self) -> Reached<'_> {
        Reached {
            address: self.ip,
            port: self.port,
            service: &self.service.name,
        }
    }
}

fn responder<'n>(
    entry: &'n Entry,
    monitors: &[Monitor<'_>],
    sources: &str,
    names: &mut Names,
    output: &mut Output,
    findings: &mut Findings,
) -> Option<Responder<'n>> {
    let mut table = Table::of(&entry.node, "a responder", findings)?;
    let protocol = table.need("protocol", "\"tcp\"", findings)?;
    let ip = table.text("ip", findings);
    let port = table.text("port", findings);
    if protocol.text.contains("api") {
        output.not_moved(&format!(
            "responder {} is the agent's API; there is none here. agentcheck drain, maint, down and resume do \
             on the host what lbfeedback force does.",
            shown(&entry.key)
        ));
        return None;
    }
    let mut service = ImportedService {
        name: names.service(&entry.key),
        ..ImportedService::default()
    };
    if protocol.text != "tcp" {
        service.not_moved(format!(
            "protocol {}: agentcheck-responder speaks HAProxy's agent-check, a line over TCP.",
            shown(protocol.text)
        ));
    }
    let weighed = weighed(&mut table, monitors, &mut service, findings);
    weigh(&weighed, sources, &mut service);
    thresholds::rules(&mut table, &weighed, sources, &mut service, findings);
    for (key, why) in [
        ("request-timeout", "the responder has its own bounds."),
        ("response-timeout", "the responder has its own bounds."),
        (
            "command-interval",
            "the agent says up ready, or drain, for this time; here every reply says where the server should be.",
        ),
        (
            "enable-offline-interval",
            "every reply says where the server should be, for as long as it should.",
        ),
        ("log-state-changes", "changes of state are always logged."),
    ] {
        if let Some(node) = table.take(key) {
            service.not_moved(format!("{key} {}: {why}", node.shown()));
        }
    }
    for entry in table.left() {
        service.not_moved(unknown(entry, "the agent's"));
    }
    Some(Responder {
        service,
        ip: ip.map(|ip| ip.text),
        port: port.map(|port| port.text),
    })
}

/// What a responder weighs.
fn weighed<'m>(
    table: &mut Table<'_>,
    monitors: &'m [Monitor<'m>],
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Vec<Weighed<'m>> {
    let mut weighed = Vec::new();
    let Some(node) = table.take("feedback-sources") else {
        return weighed;
    };
    let entries = Table::of(node, "feedback-sources", findings).map(Table::left);
    for entry in entries.unwrap_or_default() {
        let Some(monitor) = monitors.iter().find(|monitor| monitor.key == entry.key) else {
            findings.push(
                Diagnostic::error(
                    entry.node.span.clone(),
                    format!("there is no monitor {}", shown(&entry.key)),
                )
                .remedy("it has to be among monitors; the agent would not start either"),
            );
            continue;
        };
        let Some(mut table) = Table::of(&entry.node, "a source", findings) else {
            continue;
        };
        let span = table.span.clone();
        let significance = table.number("significance", findings).unwrap_or_default();
        let most = table.number("max-value", findings).unwrap_or_default();
        let threshold = table
            .number("source-threshold", findings)
            .unwrap_or_default();
        for entry in table.left() {
            service.not_moved(unknown(entry, "the agent's"));
        }
        if significance < 0.0 || most < 0.0 {
            findings.push(
                Diagnostic::error(span, "significance and max-value cannot be negative")
                    .remedy("0 to 1 for significance, 100 for the max-value of a percentage"),
            );
            continue;
        }
        if monitor.source.is_none() {
            service.not_moved(format!(
                "feedback source {}: its monitor is not here, see there.",
                shown(&entry.key)
            ));
            continue;
        }
        if most == 0.0 {
            service.differs(format!(
                "source {} has no max-value, with which the agent takes it for idle; here it is 100.",
                shown(&entry.key)
            ));
        }
        weighed.push(Weighed {
            monitor,
            significance,
            most: if most == 0.0 { 100.0 } else { most },
            threshold,
        });
    }
    weighed
}

/// What `of` gives for each, weighed by significance; nothing where nothing is significant.
fn mean<'m>(weighed: &[Weighed<'m>], of: impl Fn(&Weighed<'m>) -> String) -> Option<String> {
    let significant = weighed.iter().filter(|one| one.significance > 0.0);
    let parts: Vec<(String, f64)> = significant.map(|one| (of(one), one.significance)).collect();
    match parts.as_slice() {
        [] => None,
        [(one, _)] => Some(one.clone()),
        more => {
            let pairs = more
                .iter()
                .map(|(of, by)| format!("[{of}, {}]", number(*by)));
            let pairs: Vec<String> = pairs.collect();
            Some(format!("weighted_mean([{}])", pairs.join(", ")))
        }
    }
}

fn weigh(weighed: &[Weighed<'_>], sources: &str, service: &mut ImportedService) {
    let headroom = |one: &Weighed<'_>| format!("headroom({}, {})", one.value(), number(one.most));
    let Some(weight) = mean(weighed, headroom) else {
        service.notes.push(Note::Plain(
            "Nothing is weighed here: it is always full.".into(),
        ));
        return;
    };
    if let Some(why) = weight_refused(sources, &weight) {
        service.not_moved(format!("the weight {}: {}.", shown(&weight), shown(&why)));
        return;
    }
    service.keys.push(("weight", string(&weight)));
    if weighed
        .iter()
        .any(|one| one.significance > 0.0 && one.monitor.shaped)
    {
        service.keys.push(("ewma", "\"5s\"".into()));
        service.differs(
            "shaping-enabled evens a monitor out by its standard deviations; here the weight is an average \
             over time, smooth.",
        );
    }
    service.differs(
        "the agent says 0% for a load of 100%; here the floor is 1%, so that load never empties a farm. And it \
         rounds each load, here the weight is rounded once.",
    );
}
