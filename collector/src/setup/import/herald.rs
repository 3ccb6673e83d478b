//! Herald's config.yml: each plugin polls one source, and decides by patterns and thresholds.

mod action;
mod decision;
mod patterns;
mod rules;
mod source;
mod thresholds;

use super::document::{Findings, Node, Table, Value};
use super::identifiers::Names;
use super::service::{ImportedReply, ImportedService, Note, Rule, write_note};
use super::toml_writer::{Output, duration, excerpt, string};
use super::{Endpoint, Imported, unknown_option, write_endpoints, write_opening, yaml};
use crate::config::diagnostics::Diagnostic;
use action::Action;
use decision::{Document, PluginRules};
use std::path::Path;

/// The timeout of Herald's http plugin, in seconds.
const HTTP_TIMEOUT: u64 = 10;

/// The interval of a source that Herald polls at each probe, in seconds.
const PROBE_INTERVAL: u64 = 2;

const DAY: u64 = 86_400;
const LONGEST_FRESH: u64 = 30 * DAY;

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<Imported> {
    let (root, octals) = yaml::read(text, findings)?;
    let mut top = Table::of(&root, "the file", findings)?;
    let bind = top.text("bind", findings);
    let port = top.count("port", findings);
    let name = top.text("name", findings);
    top.take("plugins_dir");
    let plugins = plugins(&mut top, findings)?;
    let mut names = (Names::default(), Names::default());
    let mut parts = Vec::new();
    for node in plugins {
        if let Some(part) = plugin(node, &mut names, findings) {
            parts.push(part);
        }
    }
    let mut output = Output::default();
    write_opening(&mut output, "Herald", file);
    output.gap();
    for octal in octals {
        output.mind(&octal);
    }
    let port = port.map_or("5555", |(_, text)| text.text);
    let bind = bind.map(|bind| bind.text);
    let services: Vec<&str> = parts
        .iter()
        .map(|part| part.service.name.as_str())
        .collect();
    write_services(
        &services,
        name.map(|name| name.text),
        bind,
        port,
        &mut output,
    );
    for entry in top.unread() {
        output.not_moved(&unknown_option(entry, "Herald"));
    }
    let undecided = parts
        .iter()
        .map(|part| part.service.count_undecided())
        .sum();
    for part in parts {
        output.gap();
        for note in &part.notes {
            write_note(note, &mut output);
        }
        output.append(&part.source);
        part.service.write(&mut output);
    }
    Some(Imported {
        toml: output.finish(),
        undecided,
    })
}

/// Writes how HAProxy reaches the services. Herald serves the first one.
fn write_services(
    services: &[&str],
    name: Option<&str>,
    bind: Option<&str>,
    port: &str,
    output: &mut Output,
) {
    let Some(first) = services.first() else {
        return;
    };
    let service = match services.len() {
        1 => (*first).to_owned(),
        _ => format!("--name-from-client --default-service {first}"),
    };
    let endpoint = Endpoint {
        address: bind,
        port: Some(port),
        arguments: &service,
    };
    write_endpoints(output, &[endpoint]);
    if services.len() > 1 {
        output.comment(
            "HAProxy names the service that it asks for; without a name it gets the first one:",
        );
        for service in services {
            output.code(&format!("agent-send \"{service}\\n\""));
        }
        output.differs(
            "Herald serves one plugin, the first or the one with default, whatever agent-send contains. Here each \
             plugin is a service.",
        );
        if let Some(name) = name {
            let name = excerpt(name);
            output.differs(&format!(
                "the service is named like the plugin, without {name}/ before it."
            ));
        }
    }
}

/// The plugins. The first one is the one that Herald serves.
fn plugins<'n>(top: &mut Table<'n>, findings: &mut Findings) -> Option<Vec<&'n Node>> {
    let node = top.take("plugins");
    let span = node.map_or(top.span.start..top.span.start, |node| node.span.clone());
    let nodes = match node.map(|node| &node.value) {
        Some(Value::List(nodes)) if !nodes.is_empty() => nodes,
        _ => {
            findings.push(
                Diagnostic::error(span, "plugins is missing or not a list")
                    .remedy("write plugins: with one - for each plugin"),
            );
            return None;
        }
    };
    let default = nodes.iter().position(|node| match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.key == "default"),
        _ => false,
    });
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    let first = sorted.remove(default.unwrap_or(0));
    sorted.insert(0, first);
    Some(sorted)
}

/// The translation of a plugin.
struct Part {
    /// Comments before the source.
    notes: Vec<Note>,
    /// The source's table, in TOML.
    source: String,
    service: ImportedService,
}

fn plugin(
    node: &Node,
    (sources, services): &mut (Names, Names),
    findings: &mut Findings,
) -> Option<Part> {
    let mut table = Table::of(node, "a plugin", findings)?;
    table.take("default");
    let name = table.need("name", "myservice", findings)?;
    let class = table.need("herald_plugin_name", "herald_http", findings)?;
    let mut service = ImportedService {
        name: services.service(name.text),
        ..ImportedService::default()
    };
    let source = sources.source(name.text);
    let mut notes = Vec::new();

    let interval = table
        .count("interval", findings)
        .map_or(0, |(count, _)| count);
    let period = match interval {
        0 => {
            notes.push(Note::Differs(format!(
                "without interval Herald polls at each probe. Here the interval is {PROBE_INTERVAL} s, for any number of \
                 balancers."
            )));
            PROBE_INTERVAL
        }
        long if long > DAY => {
            notes.push(Note::Differs("the longest interval here is a day.".into()));
            DAY
        }
        other => other,
    };
    let json = table.truth("is_json", findings).unwrap_or(false);
    let thresholds = action::list(&mut table, "thresholds", findings);
    let patterns = action::list(&mut table, "patterns", findings);
    if thresholds.is_empty() && patterns.is_empty() {
        findings.push(
            Diagnostic::error(
                node.span.start..node.span.start,
                "patterns and thresholds are both missing",
            )
            .remedy("add one of the two lists; without them Herald does not start either"),
        );
    }
    let document = match (json, patterns.is_empty()) {
        (true, _) => Document::Json,
        (false, true) => Document::Number,
        (false, false) => Document::Text,
    };
    let timeout = period.min(if class.text == "herald_http" {
        HTTP_TIMEOUT
    } else {
        1
    });
    let mut output = Output::default();
    source::write(
        &mut table,
        &class,
        &source,
        &mut output,
        &mut notes,
        findings,
    )?;
    match document {
        Document::Json => output.string("format", "json"),
        Document::Number => output.string("format", "number"),
        Document::Text => {}
    }
    output.raw("interval", &duration(period * 1000));
    if timeout != 1 {
        output.raw("timeout", &duration(timeout * 1000));
    }
    let source_table = output.finish();

    let default = response(&mut table, "default_response", &mut service, findings);
    let rules = PluginRules {
        patterns,
        thresholds,
        default,
        document,
        source: &source,
        source_table: &source_table,
        from_file: class.text == "herald_file",
    };
    let ready = rules::decide(rules, &mut table, &mut service, findings);
    let stale = staleness(
        &mut table,
        period + timeout,
        &source,
        document,
        &mut service,
        findings,
    );
    if ready || stale {
        service.keys.push(("admin_state", "\"manage\"".into()));
        service.differs(
            "some of Herald's replies contain ready, which lifts a drain or maint that operators set on the balancer. \
             With admin_state = \"manage\" every healthy reply contains it; without that key, none does.",
        );
    } else if service
        .rules
        .iter()
        .any(|rule| matches!(rule.reply, ImportedReply::State("drain" | "maint")))
    {
        service.differs(
            "Herald's drain and maint stay until a reply contains ready. Here drain is sent as up 0% and maint as \
             stopped, and the next reply lifts them. With admin_state = \"manage\", drain and maint are sent as such.",
        );
    }
    if let Some((seconds, _)) = table.count("stop_timeout", findings) {
        notes.push(Note::NotMoved(format!(
            "stop_timeout {seconds}: each poll has a timeout of its own."
        )));
    }
    for entry in table.unread() {
        notes.push(Note::NotMoved(unknown_option(entry, "Herald")));
    }
    Some(Part {
        notes,
        source: source_table,
        service,
    })
}

/// The action of a response key; a note where HAProxy does not understand it.
fn response(
    table: &mut Table<'_>,
    key: &str,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Action {
    let Some(text) = table.text(key, findings) else {
        return Action::Nothing;
    };
    let action = Action::of(text.text);
    if let Action::Unknown(why) = &action {
        service.not_moved(format!("{key} {}: {why}.", excerpt(text.text)));
        return Action::Nothing;
    }
    action
}

/// `fresh_for`, `on_stale` and the rule for an application that no longer answers. Returns whether its reply contains
/// `ready`.
fn staleness(
    table: &mut Table<'_>,
    period: u64,
    source: &str,
    document: Document,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> bool {
    let interval = table
        .count("staleness_interval", findings)
        .map_or(0, |(count, _)| count);
    let action = response(table, "staleness_response", service, findings);
    if interval == 0 {
        if action != Action::Nothing {
            service
                .not_moved("staleness_response: Herald never sends it without staleness_interval.");
        }
        return false;
    }
    let fresh = interval.clamp(period, LONGEST_FRESH);
    service.keys.push(("fresh_for", duration(fresh * 1000)));
    if fresh != interval {
        service.differs(format!(
            "staleness_interval is {interval} s. Here a reply stays valid for at least interval and timeout together, \
             and at most 30 days."
        ));
    }
    let Some(reply) = action.reply() else {
        service.notes.push(Note::Plain(
            "staleness_response noop: HAProxy keeps its state. Here the last reply is repeated, marked as stale or \
             kept."
                .into(),
        ));
        return false;
    };
    service.keys.push(("on_stale", string(reply.value())));
    if document != Document::Text {
        let when = format!("{source}.age > {fresh}");
        let note = "staleness_response, for an application that no longer answers; on_stale is for a dead collector.";
        service.rules.insert(
            0,
            Rule {
                name: "stale".into(),
                when,
                reply,
                notes: vec![Note::Plain(note.into())],
            },
        );
    }
    action.ready()
}
