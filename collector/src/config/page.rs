//! `[page]`: the web page that the collector renews in the state directory.

use super::settings::PAGE;
use super::toml_reader::{Entry, Findings};
use std::time::Duration;

/// The interval of `[page]`; none if it is not a table.
pub(super) fn read(entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    let mut table = entry.section(findings, &PAGE)?;
    let interval = table.duration(findings, "interval");
    table.close(findings);
    Some(interval)
}
