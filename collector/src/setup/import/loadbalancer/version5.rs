//! agent-config.json, from version 5 on: monitors, and responders that weight them by significance.

mod monitors;
mod thresholds;

use super::AGENT;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Entry, Findings, Table};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::{ImportedService, Note, weight_error, write_note};
use crate::setup::import::toml_writer::{Output, excerpt, number, string};
use crate::setup::import::{
    Endpoint, Imported, json, unknown_option, write_endpoints, write_opening,
};
use monitors::{Monitor, monitors};
use std::path::Path;

/// A monitor with its weight in a responder.
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

    /// Whether the monitor has a translation.
    fn is_translated(&self) -> bool {
        self.monitor.source.is_some()
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

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<Imported> {
    let root = json::read(text, findings)?;
    let mut top = Table::of(&root, "the file", findings)?;
    let mut output = Output::default();
    write_opening(&mut output, AGENT, file);
    let monitors = monitors(&mut top, findings)?;
    let responders = entries(&mut top, "responders", findings)?;
    // The last one is secret. 5.3.6 and later write their name and version.
    for key in ["log-dir", "service-name", "version", "api-key"] {
        top.take(key);
    }
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
            Diagnostic::error(root.span.clone(), "no responder for HAProxy")
                .remedy("add a responder with protocol tcp, as the agent writes it"),
        );
    }
    let endpoints: Vec<Endpoint<'_>> = made.iter().map(Responder::endpoint).collect();
    write_endpoints(&mut output, &endpoints);
    for entry in top.unread() {
        output.not_moved(&unknown_option(entry, "the agent"));
    }
    for monitor in &monitors {
        output.gap();
        for note in &monitor.notes {
            write_note(note, &mut output);
        }
        output.append(monitor.source.as_deref().unwrap_or_default());
    }
    let mut undecided = 0;
    for responder in &made {
        responder.service.write(&mut output);
        undecided += responder.service.count_undecided();
    }
    Some(Imported {
        toml: output.finish(),
        undecided,
    })
}

/// The entries of a table of tables.
fn entries<'n>(top: &mut Table<'n>, key: &str, findings: &mut Findings) -> Option<Vec<&'n Entry>> {
    let Some(node) = top.take(key) else {
        findings.push(
            Diagnostic::error(top.span.start..top.span.start, format!("{key} is missing"))
                .remedy("name the agent's agent-config.json"),
        );
        return None;
    };
    Some(Table::of(node, key, findings)?.unread())
}

/// A responder, and its address.
struct Responder<'n> {
    service: ImportedService,
    ip: Option<&'n str>,
    port: Option<&'n str>,
}

impl Responder<'_> {
    fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            address: self.ip,
            port: self.port,
            arguments: &self.service.name,
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
            "responder {} is the agent's API, which agentcheck does not have. On the host, agentcheck drain, maint, down \
             and resume do what lbfeedback force does.",
            excerpt(&entry.key)
        ));
        return None;
    }
    let mut service = ImportedService {
        name: names.service(&entry.key),
        ..ImportedService::default()
    };
    if protocol.text != "tcp" {
        service.not_moved(format!(
            "protocol {}: agentcheck-responder sends HAProxy's agent-check reply, a line over TCP.",
            excerpt(protocol.text)
        ));
    }
    let weighed = weighed(&mut table, monitors, &mut service, findings);
    weigh(&weighed, sources, &mut service);
    thresholds::rules(&mut table, &weighed, sources, &mut service, findings);
    for (key, why) in [
        ("request-timeout", "the responder has its own timeouts."),
        ("response-timeout", "the responder has its own timeouts."),
        (
            "command-interval",
            "the agent sends up ready, or drain, for this time. Here every reply describes the whole state.",
        ),
        (
            "enable-offline-interval",
            "every reply describes the whole state.",
        ),
        (
            "log-state-changes",
            "agentcheck always logs changes of state.",
        ),
    ] {
        if let Some(node) = table.take(key) {
            service.not_moved(format!("{key} {}: {why}", node.excerpt()));
        }
    }
    for entry in table.unread() {
        service.not_moved(unknown_option(entry, "the agent"));
    }
    Some(Responder {
        service,
        ip: ip.map(|ip| ip.text),
        port: port.map(|port| port.text),
    })
}

/// The monitors of a responder.
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
    let entries = Table::of(node, "feedback-sources", findings).map(Table::unread);
    for entry in entries.unwrap_or_default() {
        let Some(monitor) = monitors.iter().find(|monitor| monitor.key == entry.key) else {
            findings.push(
                Diagnostic::error(
                    entry.node.span.clone(),
                    format!("unknown monitor {}", excerpt(&entry.key)),
                )
                .remedy("add it to monitors; without it the agent does not start either"),
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
        for entry in table.unread() {
            service.not_moved(unknown_option(entry, "the agent"));
        }
        if significance < 0.0 || most < 0.0 {
            findings.push(
                Diagnostic::error(span, "significance and max-value cannot be negative").remedy(
                    "write 0 to 1 for significance, and 100 for the max-value of a percentage",
                ),
            );
            continue;
        }
        if most == 0.0 {
            service.differs(format!(
                "source {} has no max-value, so the agent treats it as idle. Here max-value is 100.",
                excerpt(&entry.key)
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

/// The mean of `of` over all monitors, weighted by significance; `None` where none is significant.
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
    let mut significant = weighed.iter().filter(|one| one.significance > 0.0);
    if let Some(missing) = significant.find(|one| !one.is_translated()) {
        service.undecided_weight(&format!(
            "monitor {} has no translation, and the weight needs it",
            excerpt(missing.monitor.key)
        ));
        return;
    }
    let headroom = |one: &Weighed<'_>| format!("headroom({}, {})", one.value(), number(one.most));
    let Some(weight) = mean(weighed, headroom) else {
        service.notes.push(Note::Plain(
            "The responder weights no monitor: the reply is always full.".into(),
        ));
        return;
    };
    if let Some(why) = weight_error(sources, &weight) {
        let why = format!("the weight {}: {}", excerpt(&weight), excerpt(&why));
        service.undecided_weight(&why);
        return;
    }
    service.last_keys.push(("weight", string(&weight)));
    if weighed
        .iter()
        .any(|one| one.significance > 0.0 && one.monitor.shaped)
    {
        service.last_keys.push(("ewma", "\"5s\"".into()));
        service.differs(
            "smart-shape (shaping-enabled) smooths a monitor by its standard deviation. Here ewma smooths the weight \
             over time.",
        );
    }
    service.differs(
        "the agent sends 0% for a load of 100%. Here the floor is 1%, so that load never empties a farm. The agent \
         rounds each load, agentcheck rounds the weight once.",
    );
}
