//! The services at work: evaluates those that are due, and publishes their replies.

use super::Event;
use super::active_overrides::ActiveOverrides;
use super::counters::Published;
use super::eval_thread::{EvalThread, Evaluated, Job, LOOP_ELEMENTS, LOOP_TIME};
use super::failure_log::log_dry_run;
use super::output::Output;
use super::records::Records;
use super::scheduler::EvalQueue;
use super::service::ServiceTask;
use crate::config::{Config, Service, ServiceId};
use crate::decision::decide::{Decision, apply_orders};
use crate::decision::evaluate::{Outcome, Undecided, evaluate};
use crate::decision::observations::Observations;
use crate::overrides::ActiveOverride;
use crate::status::snapshot::Status;
use crate::sys::clock::Stopwatch;
use agentcheck_common::{BootTime, ServiceName};
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// The processor time that evaluations get in one turn of the loop. Services beyond it wait for the next turn.
const EVALUATION_TIME: Duration = Duration::from_millis(50);

/// All services of the configuration, in its order.
pub(super) struct Services {
    pub(super) tasks: Vec<ServiceTask>,
    pub(super) queue: EvalQueue,
    thread: EvalThread,
}

/// What an evaluation reads and where its result goes: the parts of the collector that services may touch.
pub(super) struct Desk<'c> {
    pub(super) config: &'c Config,
    pub(super) observed: &'c mut Observations,
    pub(super) overrides: &'c ActiveOverrides,
    pub(super) output: &'c Output,
    pub(super) records: &'c mut Records,
}

impl Services {
    /// The services of `config`, all of them due; `before` is the snapshot of an earlier collector.
    ///
    /// # Errors
    /// Where the thread for costly services cannot be created.
    pub(super) fn start(
        config: &Config,
        overrides: &ActiveOverrides,
        before: Option<&Status>,
        output: &Output,
        loop_events: SyncSender<Event>,
        now: BootTime,
    ) -> io::Result<Self> {
        let tasks = config.services.iter().map(|service| {
            let overridden = overrides.is_overridden(config, service, now);
            ServiceTask::new(service, before, overridden, output, now)
        });
        Ok(Self {
            tasks: tasks.collect(),
            queue: EvalQueue::new(config, now),
            thread: EvalThread::start(loop_events)?,
        })
    }

    /// Evaluates the services that are due, those first that used the least time; costly ones on the evaluation
    /// thread. `orders_changed`: operators' orders changed, and all services are due.
    ///
    /// Returns whether a server was taken out or put back.
    pub(super) fn evaluate(
        &mut self,
        desk: &mut Desk<'_>,
        orders_changed: bool,
        now: BootTime,
    ) -> bool {
        if orders_changed {
            self.queue.all_changed(now);
        }
        let mut moved = false;
        let due = self.queue.due(now);
        if due.is_empty() {
            self.send_costly(desk, now);
            return moved;
        }
        let mut watch = Stopwatch::start();
        for id in due {
            // All services have the same orders after one turn.
            if watch.total() > EVALUATION_TIME && !orders_changed {
                break;
            }
            let before = watch.total();
            moved |= self.evaluate_one(id, desk, &mut watch, now);
            watch.lap();
            self.queue.used(id, watch.total() - before);
            // On a slow disk, a turn over many services may take longer than the watchdog allows.
            desk.records.service_manager.renew_watchdog();
        }
        self.send_costly(desk, now);
        moved
    }

    fn evaluate_one(
        &mut self,
        id: ServiceId,
        desk: &mut Desk<'_>,
        watch: &mut Stopwatch,
        now: BootTime,
    ) -> bool {
        let (Some(service), Some(task)) =
            (desk.config.services.get(id.0), self.tasks.get_mut(id.0))
        else {
            return false;
        };
        if !task.is_costly {
            let context = desk.observed.context(now);
            context.scope.limit(LOOP_ELEMENTS, Duration::MAX);
            let outcome = evaluate(service, &context, &task.memory, now);
            let exceeded = context.scope.is_exceeded();
            context.scope.limit(usize::MAX, Duration::MAX);
            let took = watch.lap();
            task.is_costly = exceeded || took > LOOP_TIME;
            if !exceeded {
                return self.finish(id, outcome, took, desk, now);
            }
        }
        self.queue.defer(id, now, now.after(service.fresh_for / 3));
        // Operators' orders do not wait for the evaluation thread.
        let beneath = task.beneath().cloned();
        let outcome = Outcome {
            verdict: beneath.filter(|beneath| beneath.until > now),
            memory: task.memory.clone(),
            unknown: task.unknown.clone().map(Undecided::because),
            wake_at: now.after(service.fresh_for / 3),
        };
        let took = watch.lap();
        let has_orders = desk.overrides.is_overridden(desk.config, service, now);
        (has_orders || !task.overrides.is_empty()) && self.finish(id, outcome, took, desk, now)
    }

    /// Gives the evaluation thread its next service, if it is free.
    fn send_costly(&mut self, desk: &Desk<'_>, now: BootTime) {
        if !self.thread.is_free() {
            return;
        }
        let Some(id) = self.queue.next_costly() else {
            return;
        };
        if let (Some(service), Some(task)) = (desk.config.services.get(id.0), self.tasks.get(id.0))
        {
            self.thread.send(Job {
                service: service.clone(),
                context: desk.observed.detach(&service.inputs),
                memory: task.memory.clone(),
                now,
            });
        }
    }

    /// Publishes what the evaluation thread evaluated; returns whether a server was taken out or put back.
    pub(super) fn take(
        &mut self,
        evaluated: Evaluated,
        desk: &mut Desk<'_>,
        now: BootTime,
    ) -> bool {
        if !self.thread.done(&evaluated) {
            return false;
        }
        let name = evaluated.service;
        let mut services = desk.config.services.iter();
        let id = services.position(|service| service.name == name);
        let Some(id) = id.map(ServiceId) else {
            return false;
        };
        self.queue.used(id, evaluated.took);
        if let Some(task) = self.tasks.get_mut(id.0) {
            task.log_cost(&name, evaluated.took, evaluated.is_cheap);
        }
        let mut outcome = evaluated.outcome;
        // The readings may be too old by now.
        outcome.verdict = outcome.verdict.filter(|verdict| verdict.until > now);
        self.finish(id, outcome, evaluated.took, desk, now)
    }

    /// Applies operators' orders to an outcome and publishes it; returns whether the server was taken out or put
    /// back.
    fn finish(
        &mut self,
        id: ServiceId,
        outcome: Outcome,
        took: Duration,
        desk: &mut Desk<'_>,
        now: BootTime,
    ) -> bool {
        let (Some(service), Some(task)) =
            (desk.config.services.get(id.0), self.tasks.get_mut(id.0))
        else {
            return false;
        };
        let (overrides, statuses) = desk.overrides.of_service(desk.config, service, now);
        let decision = apply_orders(service, outcome, &overrides, now);
        let wake_at = decision.wake_at.max(now.after(Duration::from_millis(1)));
        let unknown = decision.unknown.as_ref().map(|why| why.reason.clone());
        task.log_unknown(service, unknown);
        task.log_fraction(service, &decision.memory);
        task.overrides = statuses;
        task.ready_window = desk.overrides.ready_window_id(service);
        self.queue.set(id, wake_at);
        let limit = overrides.limit().cloned();
        publish(service, task, decision, took, (desk, limit.as_ref()), now)
    }

    /// Applies another configuration; `before` is the former one.
    pub(super) fn reload(
        &mut self,
        before: &Config,
        config: &Config,
        overrides: &ActiveOverrides,
        output: &mut Output,
        now: BootTime,
    ) {
        self.thread.discard();
        let names = before.services.iter().map(|service| service.name);
        let tasks = std::mem::take(&mut self.tasks).into_iter();
        let mut tasks: BTreeMap<ServiceName, ServiceTask> = names.zip(tasks).collect();
        for service in &config.services {
            let kept = tasks.remove(&service.name);
            let task = match kept.zip(before.service(&service.name)) {
                Some((mut task, before)) => {
                    task.reload(before, service);
                    task
                }
                None => {
                    output.retirement.cancel(&service.name);
                    let overridden = overrides.is_overridden(config, service, now);
                    ServiceTask::new(service, None, overridden, output, now)
                }
            };
            self.tasks.push(task);
        }
        self.queue = EvalQueue::new(config, now);
    }

    /// Writes the replies that `on_stop` asks for.
    pub(super) fn publish_stop(
        &self,
        config: &Config,
        overrides: &ActiveOverrides,
        output: &Output,
        now: BootTime,
    ) {
        let Some(directory) = output.directory() else {
            return;
        };
        for (service, task) in config.services.iter().zip(&self.tasks) {
            let (overrides, _) = overrides.of_service(config, service, now);
            task.publish_stop(service, &overrides, directory, &output.boot, now);
        }
    }
}

/// Publishes a decision; returns whether the server was taken out or put back.
fn publish(
    service: &Service,
    task: &mut ServiceTask,
    decision: Decision,
    took: Duration,
    (desk, limit): (&mut Desk<'_>, Option<&ActiveOverride<'_>>),
    now: BootTime,
) -> bool {
    let records = &mut *desk.records;
    task.memory = decision.memory;
    task.set_beneath(decision.beneath, decision.final_decision.as_ref());
    let Some(final_decision) = decision.final_decision else {
        records.counters.evaluated(&mut task.counters, took, None);
        return false;
    };
    let until = final_decision.verdict.until;
    let (reply, decided) = (
        final_decision.verdict.reply,
        final_decision.verdict.decided.clone(),
    );
    let (was_out, began) = (task.is_out(), Instant::now());
    let directory = desk.output.directory();
    let changed = task.publish(service, final_decision, directory, &desk.output.boot, now);
    records.snapshot.changed |= changed;
    let published = Published {
        changed,
        written: directory.is_some() && !task.is_unwritten(),
        until,
    };
    let took = took + began.elapsed();
    records
        .counters
        .evaluated(&mut task.counters, took, Some(published));
    match &mut records.history {
        Some(history) => {
            let recorded = &mut task.recorded;
            history.note(service, recorded, (&reply, &decided), limit, now);
        }
        None if changed => log_dry_run(service.name.as_str(), &reply),
        None => {}
    }
    was_out != task.is_out()
}
