//! Monitors: what is measured, each a source.

use super::entries;
use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, Node, Table, Value};
use crate::setup::import::identifiers::Names;
use crate::setup::import::service::Note;
use crate::setup::import::toml_writer::{Output, duration, shown, string};
use crate::setup::import::{refused, unknown};

/// Where scripts are, on Linux.
const SCRIPTS: &str = "/opt/lbfeedback";

/// A monitor.
pub(super) struct Monitor<'n> {
    /// What the file calls it.
    pub(super) key: &'n str,
    /// The source's name.
    pub(super) name: String,
    /// Its table in TOML; none where there is no such source here.
    pub(super) source: Option<String>,
    pub(super) notes: Vec<Note>,
    /// Whether it says a percentage by itself.
    pub(super) percentage: bool,
    /// Whether it is about this machine alone.
    pub(super) of_system: bool,
    /// Whether the agent evens it out.
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
        shaped: table.truth("shaping-enabled", findings).unwrap_or(false),
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
                "the agent leaves the first core out of its mean; here all count, since the poll before.".into(),
            ));
        }
        "ram" => output.string("metric", "memory"),
        "disk-usage" => {
            least = 3000;
            let path = parameters.need("disk-path", "\"/\"", findings)?;
            output.string("metric", "disk");
            output.string("path", path.text);
            let made = format!("{}\n[service.s]\n", output.so_far());
            if let Some(wrong) = refused(&made) {
                let remedy = "an absolute path, as in \"/var\"";
                let wrong = Diagnostic::error(path.span, format!("disk-path: {wrong}"));
                findings.push(wrong.remedy(remedy));
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
                "the agent runs a script for as long as it takes; here it is killed after timeout, with all \
                 that it started."
                    .into(),
            ));
        }
        "netconn" => {
            monitor.notes.push(Note::NotMoved(format!(
                "monitor {} counts all sockets of the machine, of every kind and state. Here those of one port \
                 can be counted: metric = \"connections\", port = 80; then put [headroom(NAME.value, MOST), \
                 SIGNIFICANCE] into the weight.",
                shown(key)
            )));
            return Some(monitor);
        }
        other => {
            monitor.notes.push(Note::NotMoved(format!(
                "monitor {}: its metric-type {} is none of cpu, ram, disk-usage, netconn and script.",
                shown(key),
                shown(other)
            )));
            return Some(monitor);
        }
    }
    let every = interval.max(least).min(86_400_000);
    output.raw("interval", &duration(every));
    if metric.text == "script" && every != 1000 {
        output.raw("timeout", &duration(every.min(10_000)));
    }
    for entry in table.left().into_iter().chain(parameters.left()) {
        monitor
            .notes
            .push(Note::NotMoved(unknown(entry, "the agent's")));
    }
    monitor.source = Some(format!("{}\n", output.finish()));
    Some(monitor)
}

/// The agent has bash run a script's path, which is one word of it if nothing in it means anything to bash.
fn argv(script: &str) -> String {
    let path = format!("{SCRIPTS}/{script}");
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if path.chars().all(known) {
        format!("[{}]", string(&path))
    } else {
        format!("[\"/bin/bash\", \"-c\", {}]", string(&path))
    }
}
