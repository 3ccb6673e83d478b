//! `[source.NAME.system]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table};
use super::absolute;
use crate::source::Kind;
use crate::source::system::{Cgroup, Metric, Resource};

/// The keys of this kind, besides those of every kind: each belongs to some metrics.
const KEYS: &[&str] = &[
    "metric",
    "cgroup",
    "resource",
    "path",
    "port",
    "name",
    "interface",
];

/// The metric of a source, before its own keys are read.
#[derive(Clone, Copy)]
enum Name {
    Cpu,
    Memory,
    Swap,
    Pressure,
    Load,
    Disk,
    Connections,
    Backlog,
    Network,
    Processes,
}

/// The metrics and their keys.
const METRICS: [(&str, Name, &[&str]); 10] = [
    ("cpu", Name::Cpu, &["cgroup"]),
    ("memory", Name::Memory, &["cgroup"]),
    ("swap", Name::Swap, &[]),
    ("pressure", Name::Pressure, &["resource", "cgroup"]),
    ("load", Name::Load, &[]),
    ("disk", Name::Disk, &["path"]),
    ("connections", Name::Connections, &["port"]),
    ("backlog", Name::Backlog, &["port"]),
    ("network", Name::Network, &["interface"]),
    ("processes", Name::Processes, &["name"]),
];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let choices = METRICS.map(|metric| (metric.0, metric));
    let chosen = table
        .need(findings, "metric", "\"cpu\"")
        .and_then(|entry| entry.choice(findings, &choices));
    let Some((word, name, takes)) = chosen else {
        // Keys can be checked only when the metric is known.
        for key in KEYS {
            table.take(key);
        }
        return None;
    };
    refuse_others(word, takes, table, findings);
    Some(Kind::System(match name {
        Name::Cpu => Metric::Cpu {
            cgroup: cgroup(table, findings),
        },
        Name::Memory => Metric::Memory {
            cgroup: cgroup(table, findings),
        },
        Name::Swap => Metric::Swap,
        Name::Pressure => {
            let cgroup = cgroup(table, findings);
            Metric::Pressure {
                resource: resource(table, findings)?,
                cgroup,
            }
        }
        Name::Load => Metric::Load,
        Name::Disk => {
            let example = "\"/var\"";
            let path = table
                .need(findings, "path", example)?
                .text(findings, example)?;
            absolute(&path.value, path.span, "path", findings);
            Metric::Disk {
                path: path.value.into(),
            }
        }
        Name::Connections => Metric::Connections {
            port: port(table, findings)?,
        },
        Name::Backlog => Metric::Backlog {
            port: port(table, findings)?,
        },
        Name::Network => Metric::Network {
            interface: interface(table, findings),
        },
        Name::Processes => Metric::Processes {
            name: process(table, findings)?,
        },
    }))
}

/// A key of another metric would silently have no effect.
fn refuse_others(word: &str, takes: &[&str], table: &mut Table<'_>, findings: &mut Findings<'_>) {
    for key in KEYS {
        if *key == "metric" || takes.contains(key) {
            continue;
        }
        if let Some(entry) = table.take(key) {
            let metrics: Vec<String> = METRICS
                .iter()
                .filter(|(_, _, takes)| takes.contains(key))
                .map(|(word, _, _)| format!("\"{word}\""))
                .collect();
            findings.push(
                Diagnostic::error(entry.key_span(), format!("\"{word}\" has no key {key}")).remedy(
                    format!("{key} belongs to metric = {}", metrics.join(" or ")),
                ),
            );
        }
    }
}

fn cgroup(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Cgroup> {
    let entry = table.take("cgroup")?;
    let Some(text) = entry.text(findings, "\"/system.slice/nginx.service\"") else {
        // A cgroup was meant, so its fields are not those of the whole machine.
        return Some(Cgroup::Own);
    };
    if text.value == "self" {
        return Some(Cgroup::Own);
    }
    let upwards = text.value.split('/').any(|name| name == "..");
    if !text.value.starts_with('/') || upwards || text.value.contains('\0') {
        findings.push(
            Diagnostic::error(text.span, format!("invalid cgroup {:?}", text.value)).remedy(
                "write \"self\", or the path from the root of the tree, as in \
                 \"/system.slice/nginx.service\"",
            ),
        );
    }
    Some(Cgroup::Path(text.value))
}

fn resource(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Resource> {
    let choices =
        [Resource::Cpu, Resource::Memory, Resource::Io].map(|resource| (resource.name(), resource));
    table
        .need(findings, "resource", "\"memory\"")?
        .choice(findings, &choices)
}

fn port(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<u16> {
    let port = table.need(findings, "port", "443")?.count(findings)?;
    u16::try_from(port).ok()
}

fn interface(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let name = table.take("interface")?.text(findings, "\"eth0\"")?;
    // The kernel's names have at most 15 bytes (IFNAMSIZ, less the NUL).
    let is_name = (1..=15).contains(&name.value.len())
        && !name.value.starts_with('.')
        && name
            .value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    if !is_name {
        findings.push(
            Diagnostic::error(name.span, format!("invalid interface {:?}", name.value))
                .remedy("write the name as ip link shows it, as in \"eth0\""),
        );
    }
    Some(name.value)
}

fn process(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let example = "\"nginx\"";
    let name = table
        .need(findings, "name", example)?
        .text(findings, example)?;
    if name.value.is_empty() || name.value.contains(['/', '\0']) {
        findings.push(
            Diagnostic::error(name.span, format!("invalid process name {:?}", name.value))
                .remedy("write the name as ps -e shows it, or the file name of the program"),
        );
    }
    Some(name.value)
}
