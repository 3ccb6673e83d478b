//! What the collector keeps of its own work for people and tools: history, counters, status, metrics, page, and
//! the line that the service manager shows.

use super::counters::Counters;
use super::history_writer::HistoryWriter;
use super::metrics_writer::MetricsWriter;
use super::service_manager::ServiceManager;
use super::status_schedule::StatusSchedule;
use crate::status::history::Event;
use crate::status::snapshot::ReloadStatus;
use agentcheck_common::BootTime;

/// The records.
pub(super) struct Records {
    /// `None` in a dry run.
    pub(super) history: Option<HistoryWriter>,
    pub(super) counters: Counters,
    pub(super) snapshot: StatusSchedule,
    pub(super) metrics: MetricsWriter,
    pub(super) service_manager: ServiceManager,
    /// When the collector started.
    pub(super) started: BootTime,
    /// When the present configuration was loaded.
    pub(super) loaded: BootTime,
    /// The result of the latest reload.
    pub(super) reload: Option<ReloadStatus>,
}

impl Records {
    /// Adds an event of the collector itself to the history.
    pub(super) fn add_event(&mut self, event: Event, detail: &str) {
        if let Some(history) = &mut self.history {
            history.event(event, detail);
        }
    }
}
