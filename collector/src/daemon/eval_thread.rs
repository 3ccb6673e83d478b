//! Evaluation of costly services on a thread of its own, one at a time, so that no other service waits for them.
//!
//! The loop keeps the services that wait, and sends one when the thread is free: with the newest readings, and
//! the service that used the least time first.

use super::Event;
use crate::config::Service;
use crate::decision::evaluate::{Outcome, ServiceMemory, evaluate};
use crate::decision::observations::{DetachedContext, DetachedScope};
use crate::sys::clock;
use agentcheck_common::{BootTime, ServiceName};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How many elements the loops of a service's expressions may visit on the loop. A service that needs more is
/// costly. 2,000 elements take about 2 ms.
pub(super) const LOOP_ELEMENTS: usize = 2_000;

/// A service whose evaluation on the loop took more processor time is costly from then on.
pub(super) const LOOP_TIME: Duration = Duration::from_millis(10);

/// A costly service whose evaluation takes less returns to the loop.
pub(super) const CHEAP_TIME: Duration = Duration::from_millis(3);

/// The longest evaluation of a costly service, by the clock: on a busy machine it is much less processor time.
/// Expressions that begin later are unknown.
const MOST_TIME: Duration = Duration::from_secs(5);

/// Stack of the thread: values may nest 128 deep. Only reserved until used.
const STACK: usize = 8 << 20;

/// The thread, from the loop's view.
pub(super) struct EvalThread {
    jobs: SyncSender<Box<Job>>,
    /// Whether it has a job.
    busy: bool,
    /// The service of that job; none if its outcome is not wanted any more.
    service: Option<ServiceName>,
}

/// One evaluation to do.
pub(super) struct Job {
    pub(super) service: Service,
    pub(super) context: DetachedContext,
    pub(super) memory: ServiceMemory,
    pub(super) now: BootTime,
}

/// One evaluation that is done.
pub(super) struct Evaluated {
    pub(super) service: ServiceName,
    pub(super) outcome: Outcome,
    /// Processor time, with that of making values of documents.
    pub(super) took: Duration,
    /// Whether the loop could have done it.
    pub(super) is_cheap: bool,
}

impl EvalThread {
    /// Starts the thread. Outcomes arrive by `loop_events`.
    ///
    /// # Errors
    /// Where the thread cannot be created.
    pub(super) fn start(loop_events: SyncSender<Event>) -> io::Result<Self> {
        let (jobs, received) = sync_channel(1);
        thread::Builder::new()
            .name("evaluate".to_owned())
            .stack_size(STACK)
            .spawn(move || work(&received, &loop_events))?;
        Ok(Self {
            jobs,
            busy: false,
            service: None,
        })
    }

    /// Whether it has no job.
    pub(super) fn is_free(&self) -> bool {
        !self.busy
    }

    /// Gives it a job. Only where [`EvalThread::is_free`].
    pub(super) fn send(&mut self, job: Job) {
        self.service = Some(job.service.name);
        // There is room for the job, because the thread has no other.
        self.busy = self.jobs.try_send(Box::new(job)).is_ok();
    }

    /// The configuration changed: the outcome of the present job is not wanted.
    pub(super) fn discard(&mut self) {
        self.service = None;
    }

    /// The job is done; whether its outcome is wanted.
    pub(super) fn done(&mut self, evaluated: &Evaluated) -> bool {
        self.busy = false;
        self.service.take() == Some(evaluated.service)
    }
}

fn work(jobs: &Receiver<Box<Job>>, loop_events: &SyncSender<Event>) {
    let mut scope = DetachedScope::default();
    for job in jobs {
        let began = clock::thread_cpu_time();
        let context = scope.context(&job.context, job.now);
        let evaluation_began = clock::thread_cpu_time();
        context.scope.limit(LOOP_ELEMENTS, Duration::MAX);
        let (service, memory) = (&job.service, &job.memory);
        let mut outcome = evaluate(service, &context, memory, job.now);
        let is_cheap = !context.scope.is_exceeded();
        if !is_cheap {
            context.scope.limit(usize::MAX, MOST_TIME);
            outcome = evaluate(service, &context, memory, job.now);
        }
        let ended = clock::thread_cpu_time();
        let evaluated = Box::new(Evaluated {
            service: service.name,
            outcome,
            took: ended.saturating_sub(began),
            is_cheap: is_cheap && ended.saturating_sub(evaluation_began) < CHEAP_TIME,
        });
        if loop_events.send(Event::Evaluated(evaluated)).is_err() {
            return;
        }
    }
}
