//! Herald's config.yml: each plugin polls one thing and decides by patterns and thresholds.

mod action;
mod decision;
mod patterns;
mod rules;
mod source;
mod thresholds;

use super::document::{Findings, Node, Table, Value};
use super::identifiers::Names;
use super::service::{ImportedReply, ImportedService, Note, Rule, write_note};
use super::toml_writer::{Output, duration, shown, string};
use super::{Reached, listening, opening, unknown, yaml};
use crate::config::diagnostics::Diagnostic;
use action::Action;
use decision::{Document, Given};
use std::path::Path;

/// How long Herald's http plugin waits.
const HTTP_TIMEOUT: u64 = 10;

/// How often a source is polled where Herald polls at each probe, in seconds.
const INLINE: u64 = 2;

const DAY: u64 = 86_400;
const LONGEST_FRESH: u64 = 30 * DAY;

pub(super) fn convert(file: &Path, text: &str, findings: &mut Findings) -> Option<String> {
    let root = yaml::read(text, findings)?;
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
    opening(&mut output, "Herald", file);
    output.gap();
    let port = port.map_or("5555", |(_, text)| text.text);
    let bind = bind.map(|bind| bind.text);
    let services: Vec<&str> = parts
        .iter()
        .map(|part| part.service.name.as_str())
        .collect();
    reached(
        &services,
        name.map(|name| name.text),
        bind,
        port,
        &mut output,
    );
    for entry in top.left() {
        output.not_moved(&unknown(entry, "Herald"));
    }
    for part in parts {
        output.gap();
        for note in &part.notes {
            write_note(note, &mut output);
        }
        output.append(&part.source);
        part.service.write(&mut output);
    }
    Some(output.finish())
}

/// How HAProxy reaches the services, of which Herald answers for the first.
fn reached(
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
    let reached = Reached {
        address: bind,
        port: Some(port),
        service: &service,
    };
    listening(output, &[reached]);
    if services.len() > 1 {
        output.comment("Where it is not the first that is asked for, HAProxy names it:");
        for service in services {
            output.code(&format!("agent-send \"{service}\\n\""));
        }
        output.differs(
            "Herald answers for one plugin, the first or the one with default, whatever agent-send says; \
             here each is a service.",
        );
        if let Some(name) = name {
            let name = shown(name);
            output.differs(&format!(
                "the name is the plugin's alone, without {name}/ before it."
            ));
        }
    }
}

/// The list of plugins, the one that Herald answers for first.
fn plugins<'n>(top: &mut Table<'n>, findings: &mut Findings) -> Option<Vec<&'n Node>> {
    let node = top.take("plugins");
    let span = node.map_or(top.span.start..top.span.start, |node| node.span.clone());
    let nodes = match node.map(|node| &node.value) {
        Some(Value::List(nodes)) if !nodes.is_empty() => nodes,
        _ => {
            findings.push(
                Diagnostic::error(span, "there is no list of plugins")
                    .remedy("plugins: with one - for each"),
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

/// What a plugin becomes.
struct Part {
    /// Before the source.
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
    let every = match interval {
        0 => {
            notes.push(Note::Differs(format!(
                "without interval Herald polls at each probe; here it is every {INLINE} s, however many ask."
            )));
            INLINE
        }
        long if long > DAY => {
            notes.push(Note::Differs("a day is the longest interval here.".into()));
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
                "neither patterns nor thresholds",
            )
            .remedy("a plugin needs one of the two lists; Herald would not start either"),
        );
    }
    let document = match (json, patterns.is_empty()) {
        (true, _) => Document::Json,
        (false, true) => Document::Number,
        (false, false) => Document::Text,
    };
    let timeout = every.min(if class.text == "herald_http" {
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
    output.raw("interval", &duration(every * 1000));
    if timeout != 1 {
        output.raw("timeout", &duration(timeout * 1000));
    }
    let made = output.finish();

    let default = action(&mut table, "default_response", &mut service, findings);
    let given = Given {
        patterns,
        thresholds,
        default,
        document,
        source: &source,
        made: &made,
        from_file: class.text == "herald_file",
    };
    let ready = rules::decide(given, &mut table, &mut service, findings);
    let stale = staleness(
        &mut table,
        every + timeout,
        &source,
        document,
        &mut service,
        findings,
    );
    if ready || stale {
        service.keys.push(("admin_state", "\"manage\"".into()));
        service.differs(
            "Herald says ready in some of its replies, which lifts a drain or maint that operators set on \
             the balancer; owner says it every time. Without administration it is never said.",
        );
    } else if service
        .rules
        .iter()
        .any(|rule| matches!(rule.say, ImportedReply::Word("drain" | "maint")))
    {
        service.differs(
            "Herald's drain and maint stay until something says ready. Here drain is said as up 0% and maint \
             as stopped, and what the next reply says takes them back; admin_state = \"manage\" says the words.",
        );
    }
    if let Some((seconds, _)) = table.count("stop_timeout", findings) {
        notes.push(Note::NotMoved(format!(
            "stop_timeout {seconds}: a poll has its own deadline, timeout."
        )));
    }
    for entry in table.left() {
        notes.push(Note::NotMoved(unknown(entry, "Herald")));
    }
    Some(Part {
        notes,
        source: made,
        service,
    })
}

/// What a response key says; a note where HAProxy would not understand it.
fn action(
    table: &mut Table<'_>,
    key: &str,
    service: &mut ImportedService,
    findings: &mut Findings,
) -> Action {
    let Some(text) = table.text(key, findings) else {
        return Action::Nothing;
    };
    if text.text == "noop" {
        return Action::Nothing;
    }
    let action = Action::of(text.text);
    if let Action::Unknown(why) = &action {
        service.not_moved(format!("{key} {}: {why}.", shown(text.text)));
        return Action::Nothing;
    }
    action
}

/// `fresh_for`, `stale` and the rule for an application that answers no more. Says whether ready is said.
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
    let action = action(table, "staleness_response", service, findings);
    if interval == 0 {
        if action != Action::Nothing {
            service
                .not_moved("staleness_response: without staleness_interval Herald never says it.");
        }
        return false;
    }
    let fresh = interval.clamp(period, LONGEST_FRESH);
    service.keys.push(("fresh_for", duration(fresh * 1000)));
    if fresh != interval {
        service.differs(format!(
            "staleness_interval is {interval} s; here a reply is good for at least interval and timeout \
             together, and at most 30 days."
        ));
    }
    let Some(say) = action.say() else {
        service.notes.push(Note::Plain(
            "staleness_response noop: HAProxy keeps what it has. Here the last reply is said again, marked \
             stale or kept."
                .into(),
        ));
        return false;
    };
    service.keys.push(("on_stale", string(say.value())));
    if document != Document::Text {
        let when = format!("{source}.age > {fresh}");
        let note = "staleness_response, for an application that answers no more; stale is for a collector \
                    that is gone.";
        service.rules.insert(
            0,
            Rule {
                name: "stale".into(),
                when,
                say,
                notes: vec![Note::Plain(note.into())],
            },
        );
    }
    action.ready()
}
