//! `[source.NAME.system]`

use super::super::raw::{Findings, Table};
use crate::source::Kind;
use crate::source::system::Metric;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["metric"];

/// Keys that a later version will know.
pub(super) const LATER: &[&str] = &["cgroup", "path", "port"];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let choices = [Metric::Cpu, Metric::Memory, Metric::Load].map(|metric| (metric.name(), metric));
    let metric = table
        .need(findings, "metric", "\"cpu\"")?
        .choice(findings, &choices)?;
    Some(Kind::System(metric))
}
