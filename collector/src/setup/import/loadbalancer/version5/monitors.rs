//! Monitors: each becomes a source.

use super::entries;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, Node, Table, Value};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::Note;
use crate::setup::import::toml_writer::{Output, duration, excerpt, string};
use crate::setup::import::{load_error, unknown_option};

/// The directory of scripts, on Linux.
const SCRIPTS: &str = "/opt/lbfeedback";

/// A monitor.
pub(super) struct Monitor<'n> {
    /// Its name in the file.
    pub(super) key: &'n str,
    /// The source's name.
    pub(super) name: String,
    /// Its table in TOML; `None` where agentcheck has no such source.
    pub(super) source: Option<String>,
    pub(super) notes: Vec<Note>,
    /// Whether its value is a percentage.
    pub(super) percentage: bool,
    /// Whether it measures only this machine.
    pub(super) of_system: bool,
    /// Whether the agent smooths it.
    pub(super) shaped: bool,
}

pub(super) fn monitors<'n>(
    top: &mut Table<'n>,
    findings: &mut Findings,
) -> Option<Vec<Monitor<'n>>> {
    let mut names = Names::default();
    let mut monitors = Vec::new();
    for entry in entries(top, "monitors", findings)? {
        monitors.extend(monitor(&entry.key, &entry.node, &mut names, findings));
    }
    Some(monitors)
}

fn monitor<'n>(
    key: &'n str,
    node: &'n Node,
    names: &mut Names,
    findings: &mut Findings,
) -> Option<Monitor<'n>> {
    let mut table = Table::of(node, "a monitor", findings)?;
    let metric = table.need("metric-type", "\"cpu\"", findings)?;
    let interval = table.count("interval-ms", findings).map_or(0, |(ms, _)| ms);
    let parameters = table.take("metric-config");
    let empty = Node {
        span: node.span.clone(),
        value: Value::Map(Vec::new()),
    };
    let parameters = parameters
        .filter(|parameters| parameters.value != Value::Null)
        .unwrap_or(&empty);
    let mut parameters = Table::of(parameters, "metric-config", findings)?;
    let mut monitor = Monitor {
        key,
        name: names.source(key),
        source: None,
        notes: Vec::new(),
        percentage: true,
        of_system: true,
        // 5.4.0 renamed the key.
        shaped: ["smart-shape", "shaping-enabled"]
            .into_iter()
            .filter_map(|key| table.truth(key, findings))
            .any(|enabled| enabled),
    };
    let name = monitor.name.clone();
    let mut output = Output::default();
    output.table(
        "source",
        &name,
        if metric.text == "script" {
            ".command"
        } else {
            ".system"
        },
    );
    // The agent's own minimum.
    let mut least = 500;
    match metric.text {
        "cpu" => {
            parameters.take("sampling-ms");
            output.string("metric", "cpu");
            monitor.notes.push(Note::Differs(
                "the agent leaves the first core out of its mean. Here all cores count, over the time since the last poll.".into(),
            ));
        }
        "ram" => output.string("metric", "memory"),
        "disk-usage" => {
            least = 3000;
            let path = parameters.need("disk-path", "\"/\"", findings)?;
            output.string("metric", "disk");
            output.string("path", path.text);
            let made = format!("{}\n[service.s]\n", output.so_far());
            if let Some(error) = load_error(&made) {
                let remedy = "write an absolute path, as in \"/var\"";
                let finding = Diagnostic::error(path.span, format!("disk-path: {error}"));
                findings.push(finding.remedy(remedy));
                return None;
            }
        }
        "script" => {
            least = 3000;
            monitor.of_system = false;
            monitor.percentage = false;
            let script = parameters.need("script-name", "\"load.sh\"", findings)?;
            output.raw("argv", &argv(script.text));
            output.string("format", "number");
            monitor.notes.push(Note::Differs(
                "the agent waits for a script without a limit. Here it is killed after timeout, with all its child \
                 processes."
                    .into(),
            ));
        }
        "netconn" => {
            monitor.notes.push(Note::NotMoved(format!(
                "monitor {} counts all sockets of the machine, of every kind and state. Here a source counts the \
                 connections of one port: metric = \"connections\", port = 80. Then use headroom(NAME.value, MOST) in \
                 the weight.",
                excerpt(key)
            )));
            return Some(monitor);
        }
        other => {
            monitor.notes.push(Note::NotMoved(format!(
                "monitor {}: its metric-type {} is none of cpu, ram, disk-usage, netconn and script.",
                excerpt(key),
                excerpt(other)
            )));
            return Some(monitor);
        }
    }
    let period = interval.max(least).min(86_400_000);
    output.raw("interval", &duration(period));
    if metric.text == "script" && period != 1000 {
        output.raw("timeout", &duration(period.min(10_000)));
    }
    for entry in table.unread().into_iter().chain(parameters.unread()) {
        monitor
            .notes
            .push(Note::NotMoved(unknown_option(entry, "the agent")));
    }
    monitor.source = Some(format!("{}\n", output.finish()));
    Some(monitor)
}

/// The arguments for a script. The agent passes its path to bash, which splits and expands it.
fn argv(script: &str) -> String {
    let path = format!("{SCRIPTS}/{script}");
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if path.chars().all(known) {
        format!("[{}]", string(&path))
    } else {
        format!("[\"/bin/bash\", \"-c\", {}]", string(&path))
    }
}
