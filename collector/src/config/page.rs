//! `[page]`: the web page that the collector renews in the state directory.

use super::toml_reader::{Entry, Findings};
use std::time::Duration;

/// The default interval.
const INTERVAL: Duration = Duration::from_secs(10);

/// The interval of `[page]`; none if it has errors.
pub(super) fn read(entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    let mut table = entry.table(findings, "[page]")?;
    let interval = match table.take("interval") {
        Some(entry) => entry.duration(findings, Duration::from_secs(1), Duration::from_secs(3600)),
        None => Some(INTERVAL),
    };
    table.finish(findings, &["interval"]);
    interval
}
