//! A turn of the loop: readings are taken in, and the services that they concern are evaluated and published.

use super::Collector;
use super::counters::Published;
use super::failure_log::{log_dry_run, log_source};
use super::state_dir::StateDir;
use crate::decision::decide::decide;
use crate::reading::Reading;
use crate::status::snapshot::SourceStatus;
use crate::sys::clock;
use std::time::Instant;

impl Collector {
    /// Takes a reading of the source with this number in; what else is known now, by index.
    pub(super) fn take(&mut self, number: usize, reading: Reading) -> Vec<usize> {
        // The source may have been taken out while it was polled.
        let Some(index) = self.polling.index(number) else {
            return Vec::new();
        };
        if let (Some(source), Some(told)) = (
            self.config.sources.get(index),
            self.throttles.get_mut(index),
        ) {
            log_source(&source.name, &reading, told);
            self.counters.polled(&source.name, &reading);
            if let Some(slot) = self.sources.get_mut(index) {
                *slot = Some(SourceStatus::of(&reading));
            }
        }
        self.observed.take(index, reading, clock::now())
    }

    /// Evaluates the services that use one of the sources `touched`, or that have asked for it by now; all of
    /// them where an operator has said something.
    pub(super) fn evaluate(&mut self, touched: &[usize], said: bool) {
        let now = clock::now();
        let said = self.check_state_dir(now) || said;
        let wall = clock::unix_time_f64();
        self.observed.set_clock(&self.config.timezone, wall, now);
        let context = self.observed.context(now);
        let reached = self
            .overrides
            .evaluate_conditions(&self.config, &context, now);
        let all = said || reached;
        let mut urgent = all;
        let due = if all {
            (0..self.services.len()).collect()
        } else {
            self.queue.due(touched, now)
        };
        for index in due {
            let (Some(service), Some(running)) = (
                self.config.services.get(index),
                self.services.get_mut(index),
            ) else {
                continue;
            };
            let (began, name) = (Instant::now(), service.name.as_str());
            let (overrides, statuses) = self.overrides.of_service(&self.config, service, now);
            let decision = decide(service, &context, &running.memory, &overrides, now);
            running.log_unknown(service, decision.unknown);
            running.log_fraction(service, &decision.memory);
            running.memory = decision.memory;
            running.overrides = statuses;
            running.ready_window = self.overrides.ready_window_id(service);
            self.queue.set(index, decision.wake_at);
            let Some(final_decision) = decision.final_decision else {
                self.counters.evaluated(name, began.elapsed(), None);
                continue;
            };
            let until = final_decision.verdict.until;
            let (reply, decided) = (
                final_decision.verdict.reply,
                final_decision.verdict.decided.clone(),
            );
            let was_out = running.is_out();
            let directory = self.state_dir.as_ref().and_then(StateDir::directory);
            let changed = running.publish(service, final_decision, directory, &self.boot, now);
            self.snapshot.changed |= changed;
            urgent |= was_out != running.is_out();
            let published = Published {
                changed,
                written: directory.is_some() && !running.writing.is_failing(),
                until,
            };
            self.counters
                .evaluated(name, began.elapsed(), Some(published));
            // On a slow disk a turn over many services may take longer than the watchdog's time, and is no
            // reason to begin anew: those at the end would never have their turn.
            self.service_manager.keep_alive();
            match &mut self.history {
                Some(history) => history.note(service, &reply, &decided, now),
                None if changed => log_dry_run(name, &reply),
                None => {}
            }
        }
        if !self.is_dry() {
            self.overrides.remove_expired(now);
        }
        // Whoever said something waits for the snapshot that shows it; and a collector that is killed now must
        // not have forgotten why a server is out.
        if urgent || self.snapshot.next() <= Instant::now() {
            self.write_status(now);
        }
    }
}
