//! Who polls: a source whose polls wait for somebody has a thread of its own, all others take turns on one.
//!
//! A thing of memory: a thousand threads, each with the stack that a poll needs, take 44 MB.

use super::shared_poller::SharedPoller;
use crate::reading::Reading;
use crate::source::{Cancellation, PollSchedule, Poller, Source, stream};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The stack of a polling thread: JSON may nest 128 deep. Only reserved until used.
const POLL_STACK: usize = 512 * 1024;

/// How long a poll may take on the thread that others wait for.
pub(super) const BRIEF: Duration = Duration::from_millis(20);

/// After so many brief polls in a row a source that was not brief takes its turns again.
const RETURN_AFTER: u32 = 100;

/// All threads that poll.
pub(crate) struct PollThreads {
    turns: Arc<SharedPoller>,
    outlet: ReadingSink,
    host: String,
    /// What is polled, by the index in the configuration.
    polled: Vec<PolledSource>,
    /// The same by number: a poll that was under way when its source was taken out still ends.
    indices: HashMap<usize, usize>,
    /// The number of the next source.
    next: usize,
}

/// A source that is polled, by a number that no other source ever had.
#[derive(Clone)]
struct PolledSource {
    number: usize,
    stop: Cancellation,
}

/// Takes a reading of the source with this number; false where nobody wants one any more.
pub(super) type Take = Arc<dyn Fn(usize, Reading) -> bool + Send + Sync>;

/// Where readings go, and until when. Every polling thread has one.
#[derive(Clone)]
pub(super) struct ReadingSink {
    stop: Cancellation,
    take: Take,
    /// As many as there are threads, and one.
    alive: Arc<()>,
}

/// One source, and when it is to be polled next. Whoever has it polls it, so that no poll overlaps itself.
pub(super) struct PollTask {
    /// The number of the source.
    source: usize,
    /// Ends the polls of this source alone.
    stop: Cancellation,
    poller: Poller,
    pace: PollSchedule,
    polls: u64,
    /// When the next poll is due.
    pub(super) due: Instant,
}

impl PollThreads {
    /// Starts the threads. Each reading is given to `take` with the number of its source, which is its index
    /// until the sources are changed; where that says false, the thread ends.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub(crate) fn start(
        sources: &[Source],
        take: impl Fn(usize, Reading) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let uname = rustix::system::uname();
        let mut polling = Self {
            turns: Arc::new(SharedPoller::default()),
            outlet: ReadingSink::new(&Cancellation::new(), Arc::new(take), &Arc::new(())),
            host: uname.nodename().to_string_lossy().into_owned(),
            polled: Vec::new(),
            indices: HashMap::new(),
            next: 0,
        };
        polling.change(sources, &[])?;
        Ok(polling)
    }

    /// Polls `sources` from now on. Those that are `kept`, by their index before, go on as they are; the
    /// others of before end with the poll that is under way.
    ///
    /// # Errors
    /// Where the system gives no more threads; then nothing has changed.
    pub(super) fn change(&mut self, sources: &[Source], kept: &[Option<usize>]) -> io::Result<()> {
        let began = Instant::now();
        let mut polled = Vec::with_capacity(sources.len());
        let mut started = Vec::new();
        let mut taking_turns = Vec::new();
        let mut outcome = Ok(());
        for (index, source) in sources.iter().enumerate() {
            let before = kept.get(index).copied().flatten();
            if let Some(before) = before.and_then(|before| self.polled.get(before)) {
                polled.push(before.clone());
                continue;
            }
            let task = PollTask::new(self.next, source, &self.host, began);
            let new = PolledSource {
                number: self.next,
                stop: task.stop(),
            };
            self.next += 1;
            started.push(new.stop.clone());
            polled.push(new);
            if source.kind.waits() {
                let (turns, outlet) = (Arc::clone(&self.turns), self.outlet.clone());
                outcome = spawn(&source.name, move || {
                    keep_polling(task, None, &turns, &outlet)
                });
                if outcome.is_err() {
                    break;
                }
            } else {
                taking_turns.push(task);
            }
        }
        let outcome =
            outcome.and_then(|()| SharedPoller::add(&self.turns, taking_turns, &self.outlet));
        if outcome.is_err() {
            for stop in started {
                stop.stop();
            }
            return outcome;
        }
        let numbers = polled.iter().enumerate();
        self.indices = numbers.map(|(index, one)| (one.number, index)).collect();
        for before in std::mem::replace(&mut self.polled, polled) {
            if !self.indices.contains_key(&before.number) {
                before.stop.stop();
            }
        }
        self.turns.drop_stopped();
        Ok(())
    }

    /// The index of the source that has this number, if it is polled.
    pub(super) fn index(&self, number: usize) -> Option<usize> {
        self.indices.get(&number).copied()
    }

    /// Ends all polls, as far as they can be ended.
    pub(crate) fn stop(&self) {
        self.outlet.stop.stop();
        stream::kill_all();
        for one in &self.polled {
            one.stop.stop();
        }
        self.turns.wake();
    }

    /// Whether all threads have ended.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.outlet.alive) == 1
    }
}

impl ReadingSink {
    pub(super) fn new(stop: &Cancellation, take: Take, alive: &Arc<()>) -> Self {
        Self {
            stop: stop.clone(),
            take,
            alive: Arc::clone(alive),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Hands a reading on; false where nobody wants it any more.
    pub(super) fn send(&self, number: usize, reading: Reading) -> bool {
        !self.is_stopped() && (self.take)(number, reading)
    }
}

impl PollTask {
    /// The first poll of the source with this number, of which polling `began` then.
    pub(super) fn new(number: usize, source: &Source, host: &str, began: Instant) -> Self {
        let pace = PollSchedule::new(source, host);
        Self {
            source: number,
            stop: Cancellation::new(),
            poller: Poller::new(source),
            due: began + pace.first(),
            pace,
            polls: 0,
        }
    }

    pub(super) fn number(&self) -> usize {
        self.source
    }

    /// What ends the polls of this source alone.
    pub(super) fn stop(&self) -> Cancellation {
        self.stop.clone()
    }

    /// Whether nobody wants another poll.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// How much earlier than it is due a poll may be made because the thread is awake: so many sources do
    /// not wake it once each.
    pub(super) fn slack(&self) -> Duration {
        self.pace.interval() / 200
    }

    /// Polls once. A poll that takes longer than `every` is followed by the next at once.
    pub(super) fn poll(&mut self) -> Reading {
        let reading = self.poller.poll(&self.stop);
        self.polls += 1;
        self.due = (self.due + self.pace.after(self.polls)).max(Instant::now());
        reading
    }
}

/// Starts a polling thread.
///
/// # Errors
/// Where the system gives no more threads.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new()
        .name(format!("poll {name}"))
        .stack_size(POLL_STACK);
    thread.spawn(work).map(drop)
}

/// Polls one source on a thread of its own, until told to stop; or until it was brief so often that it can
/// take its turns again, where it has any to take (`brief` counts them).
pub(super) fn keep_polling(
    mut task: PollTask,
    mut brief: Option<u32>,
    turns: &SharedPoller,
    outlet: &ReadingSink,
) {
    while brief.is_none_or(|brief| brief < RETURN_AFTER) {
        let began = Instant::now();
        if task.stop.wait(task.due.saturating_duration_since(began)) {
            return;
        }
        let began = Instant::now();
        let reading = task.poll();
        let took = began.elapsed();
        brief = brief.map(|brief| if took < BRIEF { brief + 1 } else { 0 });
        if !outlet.send(task.source, reading) {
            return;
        }
    }
    turns.put(task);
}
