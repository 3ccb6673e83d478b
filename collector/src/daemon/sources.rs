//! The sources at work: their polls, their readings, and what the log and the status have of them.

use super::Event;
use super::counters::SourceCounters;
use super::failure_log::log_source;
use super::poll_task::TaskId;
use super::poll_threads::PollThreads;
use super::reading_slots::{ReadingSlots, Slot};
use super::usage::Usage;
use crate::config::{Change, Config, InputId, SourceId};
use crate::decision::observations::Observations;
use crate::reading::Reason;
use crate::status::snapshot::{SourceStatus, Status};
use crate::sys::clock::{self, Stopwatch};
use crate::sys::log_throttle::FailureThrottle;
use agentcheck_common::BootTime;
use log::debug;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// The processor time that readings get in one turn of the loop. Readings beyond it wait for the next turn.
const READING_TIME: Duration = Duration::from_millis(50);

/// All sources of the configuration.
pub(super) struct Sources {
    pub(super) polling: PollThreads,
    slots: Arc<ReadingSlots>,
    pub(super) observed: Observations,
    /// The latest poll of each source.
    pub(super) statuses: Vec<Option<SourceStatus>>,
    /// What the log has of each source.
    throttles: Vec<FailureThrottle<Reason>>,
    pub(super) counters: Vec<SourceCounters>,
    /// The processor time of each source's readings.
    usage: Usage,
}

impl Sources {
    /// Starts to poll the sources of `config`; `before` is the snapshot of an earlier collector.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub(super) fn start(
        config: &Config,
        before: Option<&Status>,
        loop_events: SyncSender<Event>,
        now: BootTime,
    ) -> io::Result<Self> {
        let slots = Arc::new(ReadingSlots::new(loop_events));
        let put = Arc::clone(&slots);
        let mut observed = Observations::new(config, now);
        for (name, derived) in before.iter().flat_map(|before| &before.derived) {
            observed.restore(name, &derived.to_memory(), now);
        }
        Ok(Self {
            polling: PollThreads::start(&config.sources, move |readings| put.put(readings))?,
            slots,
            observed,
            statuses: vec![None; config.sources.len()],
            throttles: vec![FailureThrottle::default(); config.sources.len()],
            counters: vec![SourceCounters::default(); config.sources.len()],
            usage: Usage::new(config.sources.len(), now),
        })
    }

    /// Whether readings wait for a turn.
    pub(super) fn is_waiting(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Takes waiting readings, those of cheap sources first; returns the inputs that changed.
    pub(super) fn take(&mut self, config: &Config) -> Vec<InputId> {
        let mut changed = Vec::new();
        let waiting = self.slots.take().into_iter();
        // A poll may end after its source was removed.
        let mut waiting: Vec<(SourceId, TaskId, Slot)> = waiting
            .filter_map(|(task, slot)| Some((self.polling.source(task)?, task, slot)))
            .collect();
        if waiting.is_empty() {
            return changed;
        }
        let mut watch = Stopwatch::start();
        self.usage.decay(clock::now());
        waiting.sort_by_key(|(id, ..)| self.usage.of(id.0));
        let mut all_replaced = Vec::with_capacity(waiting.len());
        let mut waiting = waiting.into_iter();
        while watch.total() <= READING_TIME {
            let Some((id, _, slot)) = waiting.next() else {
                break;
            };
            let reading = &slot.new.reading;
            if let (Some(source), Some(throttle), Some(status), Some(counters)) = (
                config.sources.get(id.0),
                self.throttles.get_mut(id.0),
                self.statuses.get_mut(id.0),
                self.counters.get_mut(id.0),
            ) {
                if slot.replaced > 0 {
                    let name = &source.name;
                    debug!(
                        "source {name}: {} readings were replaced by newer ones",
                        slot.replaced
                    );
                }
                log_source(&source.name, reading, throttle);
                counters.polled(reading);
                *status = Some(SourceStatus::from_reading(reading));
            }
            let (touched, replaced) = self.observed.take_new(id, slot.new, clock::now());
            changed.extend(touched);
            all_replaced.extend(replaced);
            self.usage.add(id.0, watch.lap());
        }
        self.slots
            .put_back(waiting.map(|(_, task, slot)| (task, slot)));
        self.slots.drop_later(all_replaced);
        changed
    }

    /// Polls the sources of another configuration; keeps the readings of unchanged ones.
    ///
    /// # Errors
    /// Where a thread cannot be created; then nothing has changed.
    pub(super) fn reload(
        &mut self,
        before: &Config,
        config: &Config,
        change: &Change,
        now: BootTime,
    ) -> io::Result<()> {
        self.polling
            .change(&config.sources, |id| change.kept_source(id))?;
        self.observed.reload(config, change, now);
        carry(&mut self.throttles, change, config.sources.len());
        carry(&mut self.statuses, change, config.sources.len());
        let names = before.sources.iter().map(|source| source.name.as_str());
        let counters: BTreeMap<&str, SourceCounters> = names.zip(self.counters.drain(..)).collect();
        let counters = config.sources.iter().map(|source| {
            let known = counters.get(source.name.as_str());
            known.cloned().unwrap_or_default()
        });
        self.counters = counters.collect();
        self.usage = Usage::new(config.sources.len(), now);
        Ok(())
    }
}

/// Moves the records of sources to their ids in the new configuration.
fn carry<T: Default>(known: &mut Vec<T>, change: &Change, sources: usize) {
    let mut next = Vec::with_capacity(sources);
    for id in (0..sources).map(SourceId) {
        let before = change.kept_source(id);
        let before = before.and_then(|before| known.get_mut(before.0));
        next.push(before.map(std::mem::take).unwrap_or_default());
    }
    *known = next;
}
