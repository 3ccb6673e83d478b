//! config.xml, up to 4.x: processor, memory and connections, each with an importance.

use super::super::document::{Entry, Findings, Table};
use super::super::identifiers::Names;
use super::super::service::{ImportedReply, ImportedService, Note, Rule, weight_refused};
use super::super::toml_writer::{Output, duration, number, shown, string};
use super::super::{Reached, listening, opening, unknown, xml};
use super::AGENT;
use crate::config::diagnostics::Diagnostic;
use std::path::Path;

/// Where the mode is read from, where the agent reads it from its own configuration.
const MODE_FILE: &str = "/etc/agentcheck/mode";

/// Above this a monitor with importance 1 is full.
const FULL: f64 = 99.0;

/// Something that is measured.
struct Monitor {
    /// The source's name.
    name: String,
    /// Its table in TOML.
    source: String,
    /// The load in per cent, as an expression.
    load: String,
    /// Its share, above 0.
    importance: f64,
    /// Above this load the agent says 0%.
    limit: Option<f64>,
}

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<String> {
    let root = xml::read(text, findings)?;
    if root.key != "xml" {
        findings.push(
            Diagnostic::error(root.node.span.clone(), "the root element is not <xml>")
                .remedy("is it the agent's config.xml?"),
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
    for node in top.take_each("TCPService") {
        let mut table = Table::of(node, "TCPService", findings)?;
        connections.extend(tcp_service(&mut table, &mut names, &mut service, findings));
        rest(table, &mut service);
    }
    let idle = top.text("ReturnIdle", findings);
    let idle = idle.is_none_or(|text| text.text == "true");
    let mode = mode(&mut top, &mut names, &mut service, findings);
    let port = top.text("Port", findings);
    if let Some((interval, _)) = top.count("Interval", findings) {
        service.differs(format!(
            "for {interval} s (Interval) after a start or a change of mode the agent says up ready. Here every \
             reply says up; admin_state = \"manage\" says ready too, which lifts what operators set on the \
             balancer."
        ));
    }
    if let Some(level) = top.text("LogLevel", findings) {
        service.not_moved(format!(
            "LogLevel {}: the variable AGENTCHECK_LOG says what is logged (error, warn, info, debug).",
            shown(level.text)
        ));
    }
    rest(top, &mut service);
    let mut sources: String = host
        .iter()
        .chain(&connections)
        .map(|m| m.source.as_str())
        .collect();
    sources.push_str(&mode);
    weigh(&host, &connections, idle, &sources, &mut service);

    let mut output = Output::default();
    opening(&mut output, AGENT, file);
    output.gap();
    let port = port.map_or("3333", |port| port.text);
    let reached = Reached {
        address: None,
        port: Some(port),
        service: &service.name,
    };
    listening(&mut output, &[reached]);
    output.gap();
    output.append(&sources);
    service.write(&mut output);
    Some(output.finish())
}

fn rest(table: Table<'_>, service: &mut ImportedService) {
    let left: Vec<&Entry> = table.left();
    for entry in left {
        service.not_moved(unknown(entry, "the agent's"));
    }
}

/// A number that is not negative; 0 where there is none.
fn share(table: &mut Table<'_>, key: &str, findings: &mut Findings) -> f64 {
    let span = table.span.clone();
    let share = table.number(key, findings).unwrap_or_default();
    if share < 0.0 {
        findings.push(
            Diagnostic::error(span, format!("{key} is negative")).remedy("0 switches it off"),
        );
    }
    share.max(0.0)
}

/// The load above which a monitor makes the agent say 0%.
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
    rest(table, service);
    (importance > 0.0).then(|| Monitor {
        source: format!("[source.{name}.system]\nmetric = \"{metric}\"\n\n"),
        load: format!("{name}.value"),
        name: name.to_owned(),
        importance,
        limit: limit(importance, threshold),
    })
}

fn tcp_service(
    table: &mut Table<'_>,
    names: &mut Names,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Option<Monitor> {
    let name = table.text("Name", findings);
    let name = name.map_or("connections", |name| name.text);
    let importance = share(table, "ImportanceFactor", findings);
    let most = table
        .count("MaxConnections", findings)
        .map_or(0, |(most, _)| most);
    let address = table.text("IPAddress", findings);
    let port = table.need("Port", "80", findings)?;
    let Some(number) = port
        .text
        .trim()
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
    else {
        findings.push(Diagnostic::error(port.span, "this is no port").remedy("1 to 65535"));
        return None;
    };
    if importance <= 0.0 {
        return None;
    }
    if most == 0 {
        service.not_moved(format!(
            "TCPService {} has MaxConnections 0, for which 4.x says that it is full, and earlier versions that \
             it is idle.",
            shown(name)
        ));
        return None;
    }
    if let Some(address) = address.filter(|address| address.text != "*") {
        service.differs(format!(
            "IPAddress {} of TCPService {}: the port counts here, on all local addresses.",
            shown(address.text),
            shown(name)
        ));
    }
    let name = names.source(&name.to_lowercase());
    Some(Monitor {
        source: format!("[source.{name}.system]\nmetric = \"connections\"\nport = {number}\n\n"),
        load: format!("100 * {name}.value / {most}"),
        name,
        importance,
        limit: limit(importance, 0.0),
    })
}

/// The mean of loads by importance, as the agent takes it.
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

/// The weight, and a rule for each monitor that makes the agent say 0%.
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
            "No monitor has an importance: the agent always says 100%.".into(),
        ));
        return;
    }
    if parts.len() > 1 {
        service.differs(
            "4.x adds the mean of processor and memory to the mean of the services, and so it is here; earlier \
             versions take one mean of all.",
        );
    }
    let busy = parts.join(" + ");
    let weight = if !idle {
        service
            .mind("with ReturnIdle false a busy server gets more than an idle one, here as there.");
        busy
    } else if parts.len() > 1 {
        format!("100 - ({busy})")
    } else {
        format!("100 - {busy}")
    };
    if let Some(why) = weight_refused(sources, &weight) {
        service.not_moved(format!("the weight {}: {}.", shown(&weight), shown(&why)));
        return;
    }
    service.keys.push(("weight", string(&weight)));
    if idle {
        service.differs(
        "the agent says 0% for a load of 100%; here the floor is 1%, so that load never empties a farm. And it \
         rounds up, here a weight is rounded down.",
    );
    }
    let drained = service.rules.iter().any(|rule| rule.when == "true");
    let alone = host.len() + connections.len() == 1;
    for monitor in host.iter().chain(connections) {
        let Some(limit) = monitor.limit else {
            continue;
        };
        // The weight says as much already.
        if alone && monitor.importance == 1.0 && limit >= FULL && idle {
            continue;
        }
        let say = if idle { "floor" } else { "full" };
        if drained {
            let limit = number(limit);
            let text = format!(
                "above {limit}% of {} it is {say}: the mode decides.",
                monitor.name
            );
            service.not_moved(text);
            continue;
        }
        service.rule(Rule {
            name: format!("{}-full", monitor.name),
            when: format!("{} > {}", monitor.load, number(limit)),
            say: ImportedReply::Word(say),
            notes: vec![Note::Plain(format!(
                "Above {}% nothing else counts for the agent.",
                number(limit)
            ))],
        });
    }
}

/// The rules for the modes, and the source that says the mode where it may change.
fn mode(
    top: &mut Table<'_>,
    names: &mut Names,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> String {
    let read = top
        .truth("ReadAgentStatusFromConfig", findings)
        .unwrap_or(false);
    let every = top.count("ReadAgentStatusFromConfigInterval", findings);
    let status = top.text("AgentStatus", findings);
    let status = match status {
        None => "normal".to_owned(),
        Some(status) => {
            let word = status.text.trim().to_ascii_lowercase();
            if !matches!(word.as_str(), "normal" | "drain" | "down" | "halt") {
                findings.push(
                    Diagnostic::error(status.span, "AgentStatus is no mode")
                        .remedy("Normal, Drain, Down or Halt; at any other the agent says error"),
                );
            }
            word
        }
    };
    let say = |status: &str| ImportedReply::Word(if status == "drain" { "drain" } else { "down" });
    if !read {
        if status != "normal" {
            service.mind(format!(
                "AgentStatus is {}: the server stays out until this rule is gone.",
                shown(&status)
            ));
            service.rule(Rule {
                name: "mode".into(),
                when: "true".into(),
                say: say(&status),
                notes: Vec::new(),
            });
        }
        return String::new();
    }
    let name = names.source("mode");
    service.differs(format!(
        "with ReadAgentStatusFromConfig the mode is read from the agent's own file; here it is the word in \
         {MODE_FILE}: drain, halt or down. No file, or any other word, is normal. It is {} now. Without \
         these rules, agentcheck drain, down and resume do it.",
        shown(&status)
    ));
    for (mode, words) in [("drain", "drain"), ("halt", "halt|down")] {
        service.rule(Rule {
            name: mode.into(),
            when: format!(
                "{name}.exists && {name}.text.matches('(?i)^[[:space:]]*({words})[[:space:]]*$')"
            ),
            say: say(mode),
            notes: Vec::new(),
        });
    }
    let every = every.map_or(5, |(seconds, _)| seconds.clamp(1, 86_400));
    format!(
        "[source.{name}.file]\npath = \"{MODE_FILE}\"\nmissing = \"ok\"\ninterval = {}\n\n",
        duration(every * 1000)
    )
}
