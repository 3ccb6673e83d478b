//! `[source.NAME.system]`

use super::super::raw::{Findings, Table};
use crate::source::Kind;
use crate::source::system::Metric;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["metric"];

/// Keys that a later version will know.
pub(super) const LATER: &[&str] = &["cgroup", "path", "port"];

/// What a metric is called, before its own keys are read.
#[derive(Clone, Copy)]
enum Name {
    Cpu,
    Memory,
    Swap,
    Load,
}

const METRICS: [(&str, Name); 4] = [
    ("cpu", Name::Cpu),
    ("memory", Name::Memory),
    ("swap", Name::Swap),
    ("load", Name::Load),
];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let name = table
        .need(findings, "metric", "\"cpu\"")?
        .choice(findings, &METRICS)?;
    Some(Kind::System(match name {
        Name::Cpu => Metric::Cpu,
        Name::Memory => Metric::Memory,
        Name::Swap => Metric::Swap,
        Name::Load => Metric::Load,
    }))
}
