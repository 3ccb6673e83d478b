//! config.xml, up to 4.x: processor, memory and connections, each with an importance.

use super::super::document::{Entry, Findings, Table};
use super::super::identifiers::Names;
use super::super::service::{ALWAYS, ImportedReply, ImportedService, Note, Rule, weight_error};
use super::super::toml_writer::{Output, duration, excerpt, number, string};
use super::super::{Endpoint, Imported, unknown_option, write_endpoints, write_opening, xml};
use super::AGENT;
use crate::config::diagnostics::Diagnostic;
use std::path::Path;

/// The file of the mode, where the agent reads the mode from its own configuration.
const MODE_FILE: &str = "/etc/agentcheck/mode";

/// Above this load, a monitor with importance 1 is full, in per cent.
const FULL: f64 = 99.0;

/// One measured load.
struct Monitor {
    /// The source's name.
    name: String,
    /// Its table in TOML.
    source: String,
    /// The load in per cent, as an expression.
    load: String,
    /// Its weight in the mean, above 0.
    importance: f64,
    /// Above this load the agent sends 0%.
    limit: Option<f64>,
}

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<Imported> {
    let root = xml::read(text, findings)?;
    if root.key != "xml" {
        findings.push(
            Diagnostic::error(root.node.span.clone(), "the root element is not <xml>")
                .remedy("name the agent's config.xml"),
        );
        return None;
    }
    let mut top = Table::of(&root.node, "<xml>", findings)?;
    let mut names = Names::default();
    let mut service = ImportedService {
        name: "server".into(),
        ..ImportedService::default()
    };
    let mut host = Vec::new();
    for (element, metric, name) in [("Cpu", "cpu", "cpu"), ("Ram", "memory", "memory")] {
        let monitor = host_monitor(
            &mut top,
            element,
            metric,
            &names.source(name),
            &mut service,
            findings,
        );
        host.extend(monitor);
    }
    let mut connections = Vec::new();
    let mut undecided = Vec::new();
    for node in top.take_each("TCPService") {
        let mut table = Table::of(node, "TCPService", findings)?;
        let monitor = tcp_service(&mut table, &mut names, &mut service, findings);
        undecided.extend(monitor.as_ref().err().cloned().flatten());
        connections.extend(monitor.ok());
        note_unread(table, &mut service);
    }
    let idle = top.text("ReturnIdle", findings);
    let idle = idle.is_none_or(|text| text.text == "true");
    let mode = mode(&mut top, &mut names, &mut service, findings);
    let port = top.text("Port", findings);
    if let Some((interval, _)) = top.count("Interval", findings) {
        service.differs(format!(
            "for {interval} s (Interval) after a start or a change of mode the agent sends up ready. Here every \
             reply contains up. With admin_state = \"manage\" it also contains ready, which lifts what operators set \
             on the balancer."
        ));
    }
    if let Some(level) = top.text("LogLevel", findings) {
        service.not_moved(format!(
            "LogLevel {}: set the variable AGENTCHECK_LOG (error, warn, info, debug).",
            excerpt(level.text)
        ));
    }
    note_unread(top, &mut service);
    let mut sources: String = host
        .iter()
        .chain(&connections)
        .map(|m| m.source.as_str())
        .collect();
    sources.push_str(&mode);
    match undecided.first() {
        Some(why) => {
            service.undecided_weight(why);
            threshold_rules(&host, &connections, idle, &mut service);
        }
        None => weigh(&host, &connections, idle, &sources, &mut service),
    }

    let mut output = Output::default();
    write_opening(&mut output, AGENT, file);
    output.gap();
    let port = port.map_or("3333", |port| port.text);
    let endpoint = Endpoint {
        address: None,
        port: Some(port),
        arguments: &service.name,
    };
    write_endpoints(&mut output, &[endpoint]);
    output.gap();
    output.append(&sources);
    service.write(&mut output);
    Some(Imported {
        toml: output.finish(),
        undecided: service.count_undecided(),
    })
}

fn note_unread(table: Table<'_>, service: &mut ImportedService) {
    let unread: Vec<&Entry> = table.unread();
    for entry in unread {
        service.not_moved(unknown_option(entry, "the agent"));
    }
}

/// A number that is not negative; 0 where the key is missing.
fn share(table: &mut Table<'_>, key: &str, findings: &mut Findings) -> f64 {
    let span = table.span.clone();
    let share = table.number(key, findings).unwrap_or_default();
    if share < 0.0 {
        findings.push(
            Diagnostic::error(span, format!("{key} is negative"))
                .remedy("write 0 to switch it off"),
        );
    }
    share.max(0.0)
}

/// The load above which the agent sends 0%.
fn limit(importance: f64, threshold: f64) -> Option<f64> {
    let full = (importance == 1.0).then_some(FULL);
    let threshold = (threshold > 0.0 && threshold < 100.0).then_some(threshold);
    match (full, threshold) {
        (Some(full), Some(threshold)) => Some(full.min(threshold)),
        (full, threshold) => full.or(threshold),
    }
}

fn host_monitor(
    top: &mut Table<'_>,
    element: &str,
    metric: &str,
    name: &str,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Option<Monitor> {
    let mut table = Table::of(top.take(element)?, element, findings)?;
    let importance = share(&mut table, "ImportanceFactor", findings);
    let threshold = share(&mut table, "ThresholdValue", findings);
    note_unread(table, service);
    (importance > 0.0).then(|| Monitor {
        source: format!("[source.{name}.system]\nmetric = \"{metric}\"\n\n"),
        load: format!("{name}.value"),
        name: name.to_owned(),
        importance,
        limit: limit(importance, threshold),
    })
}

/// A TCP service as a monitor. The error is why its load has no translation, or nothing where it does not count or
/// has a finding.
fn tcp_service(
    table: &mut Table<'_>,
    names: &mut Names,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Result<Monitor, Option<String>> {
    let name = table.text("Name", findings);
    let name = name.map_or("connections", |name| name.text);
    let importance = share(table, "ImportanceFactor", findings);
    let most = table
        .count("MaxConnections", findings)
        .map_or(0, |(most, _)| most);
    let address = table.text("IPAddress", findings);
    let port = table.need("Port", "80", findings).ok_or(None)?;
    let Some(number) = port
        .text
        .trim()
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
    else {
        findings.push(Diagnostic::error(port.span, "invalid port").remedy("write 1 to 65535"));
        return Err(None);
    };
    if importance <= 0.0 {
        return Err(None);
    }
    if most == 0 {
        return Err(Some(format!(
            "TCPService {} has MaxConnections 0, which is full for 4.x and idle for earlier versions",
            excerpt(name)
        )));
    }
    if let Some(address) = address.filter(|address| address.text != "*") {
        service.differs(format!(
            "IPAddress {} of TCPService {}: here the port is counted on all local addresses.",
            excerpt(address.text),
            excerpt(name)
        ));
    }
    let name = names.source(&name.to_lowercase());
    Ok(Monitor {
        source: format!("[source.{name}.system]\nmetric = \"connections\"\nport = {number}\n\n"),
        load: format!("100 * {name}.value / {most}"),
        name,
        importance,
        limit: limit(importance, 0.0),
    })
}

/// The mean of the loads by importance, as the agent computes it.
fn mean(monitors: &[Monitor]) -> Option<String> {
    let weighed = |monitor: &Monitor| match monitor.importance {
        1.0 => monitor.load.clone(),
        other => format!("{} * {}", monitor.load, number(other)),
    };
    match monitors {
        [] => None,
        [one] => Some(weighed(one)),
        more => {
            let sum: Vec<String> = more.iter().map(weighed).collect();
            Some(format!("({}) / {}", sum.join(" + "), more.len()))
        }
    }
}

/// Adds the weight, and the rules of thresholds.
fn weigh(
    host: &[Monitor],
    connections: &[Monitor],
    idle: bool,
    sources: &str,
    service: &mut ImportedService,
) {
    let parts: Vec<String> = [mean(host), mean(connections)]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        service.notes.push(Note::Plain(
            "No monitor has an importance: the agent always sends 100%.".into(),
        ));
        return;
    }
    if parts.len() > 1 {
        service.differs(
            "4.x adds the mean of processor and memory to the mean of the services, and so does this weight. Earlier \
             versions use one mean of all.",
        );
    }
    let busy = parts.join(" + ");
    let weight = if !idle {
        service
            .mind("with ReturnIdle false a busy server gets more traffic than an idle one, in both programs.");
        busy
    } else if parts.len() > 1 {
        format!("100 - ({busy})")
    } else {
        format!("100 - {busy}")
    };
    match weight_error(sources, &weight) {
        Some(why) => {
            let why = format!("the weight {}: {}", excerpt(&weight), excerpt(&why));
            service.undecided_weight(&why);
        }
        None => service.last_keys.push(("weight", string(&weight))),
    }
    if idle {
        service.differs(
            "the agent sends 0% for a load of 100%. Here the floor is 1%, so that load never empties a farm. The agent \
             rounds up, agentcheck rounds down.",
        );
    }
    threshold_rules(host, connections, idle, service);
}

/// A rule for each monitor above whose limit the agent sends 0%.
fn threshold_rules(
    host: &[Monitor],
    connections: &[Monitor],
    idle: bool,
    service: &mut ImportedService,
) {
    let alone = host.len() + connections.len() == 1;
    for monitor in host.iter().chain(connections) {
        let Some(limit) = monitor.limit else {
            continue;
        };
        // The weight gives the same.
        if alone && monitor.importance == 1.0 && limit >= FULL && idle {
            continue;
        }
        let reply = if idle { "floor" } else { "full" };
        service.rule(Rule {
            name: format!("{}-full", monitor.name),
            when: format!("{} > {}", monitor.load, number(limit)),
            reply: ImportedReply::State(reply),
            notes: vec![Note::Plain(format!(
                "Above {}% the agent ignores everything else.",
                number(limit)
            ))],
        });
    }
}

/// Adds the rules for the modes. Returns the source of the mode, in TOML, where the mode can change.
fn mode(
    top: &mut Table<'_>,
    names: &mut Names,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> String {
    let read = top
        .truth("ReadAgentStatusFromConfig", findings)
        .unwrap_or(false);
    let interval = top.count("ReadAgentStatusFromConfigInterval", findings);
    let status = top.text("AgentStatus", findings);
    let status = match status {
        None => "normal".to_owned(),
        Some(status) => {
            let word = status.text.trim().to_ascii_lowercase();
            if !matches!(word.as_str(), "normal" | "drain" | "down" | "halt") {
                findings.push(
                    Diagnostic::error(status.span, "invalid AgentStatus").remedy(
                        "write Normal, Drain, Down or Halt; at any other the agent sends error",
                    ),
                );
            }
            word
        }
    };
    let reply =
        |status: &str| ImportedReply::State(if status == "drain" { "drain" } else { "down" });
    if !read {
        if status != "normal" {
            service.mind(format!(
                "AgentStatus is {}: the server stays out until you remove the rule mode.",
                excerpt(&status)
            ));
            service.rule(Rule {
                name: "mode".into(),
                when: ALWAYS.into(),
                reply: reply(&status),
                notes: Vec::new(),
            });
        }
        return String::new();
    }
    let name = names.source("mode");
    service.differs(format!(
        "with ReadAgentStatusFromConfig the agent reads the mode from its own file. Here the mode is the word in \
         {MODE_FILE}: drain, halt or down. No file, or any other word, is normal. The imported mode is {}. Without \
         these rules, use agentcheck drain, down and resume.",
        excerpt(&status)
    ));
    for (mode, words) in [("drain", "drain"), ("halt", "halt|down")] {
        service.rule(Rule {
            name: mode.into(),
            when: format!(
                "{name}.exists && {name}.text.matches('(?i)^[[:space:]]*({words})[[:space:]]*$')"
            ),
            reply: reply(mode),
            notes: Vec::new(),
        });
    }
    let interval = interval.map_or(5, |(seconds, _)| seconds.clamp(1, 86_400));
    format!(
        "[source.{name}.file]\npath = \"{MODE_FILE}\"\nmissing = \"ok\"\ninterval = {}\n\n",
        duration(interval * 1000)
    )
}
