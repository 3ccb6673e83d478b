//! Who polls: a source whose polls wait for somebody has a thread of its own, all others take turns on one.
//!
//! A thing of memory: a thousand threads, each with the stack that a poll needs, take 44 MB.

use super::Event;
use super::turns::Turns;
use crate::reading::Reading;
use crate::source::{Pace, Poller, Source, Stop};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

/// The stack of a polling thread: JSON may nest 128 deep. Only reserved until used.
const POLL_STACK: usize = 512 * 1024;

/// How long a poll may take on the thread that others wait for.
pub(super) const BRIEF: Duration = Duration::from_millis(20);

/// After so many brief polls in a row a source that was not brief takes its turns again.
const RETURN_AFTER: u32 = 100;

/// All threads that poll.
pub(super) struct Polling {
    turns: Arc<Turns>,
    /// As many as there are threads, and this one.
    alive: Arc<()>,
}

/// Where readings go, and until when. Every polling thread has one.
#[derive(Clone)]
pub(super) struct Outlet {
    stop: Stop,
    sender: SyncSender<Event>,
    _alive: Arc<()>,
}

/// One source, and when it is to be polled next. Whoever has it polls it, so that no poll overlaps itself.
pub(super) struct Task {
    index: usize,
    poller: Poller,
    pace: Pace,
    number: u64,
    /// When the next poll is due.
    pub(super) due: Instant,
}

impl Polling {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system gives no more threads; those that were started end with `stop`.
    pub(super) fn start(
        sources: &[Source],
        stop: &Stop,
        sender: SyncSender<Event>,
    ) -> io::Result<Self> {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        let began = Instant::now();
        let alive = Arc::new(());
        let outlet = Outlet::new(stop, sender, &alive);
        let turns = Arc::new(Turns::default());
        let mut taking_turns = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let task = Task::new(index, source, &host, began);
            if source.kind.waits() {
                let (turns, outlet) = (Arc::clone(&turns), outlet.clone());
                spawn(&source.name, move || {
                    keep_polling(task, None, &turns, &outlet)
                })?;
            } else {
                taking_turns.push(task);
            }
        }
        Turns::start(&turns, taking_turns, outlet)?;
        Ok(Self { turns, alive })
    }

    /// Wakes those who wait for their turn, once all were told to stop.
    pub(super) fn wake(&self) {
        self.turns.wake();
    }

    /// Whether all threads have ended.
    pub(super) fn is_over(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }
}

impl Outlet {
    pub(super) fn new(stop: &Stop, sender: SyncSender<Event>, alive: &Arc<()>) -> Self {
        Self {
            stop: stop.clone(),
            sender,
            _alive: Arc::clone(alive),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Hands a reading on; false where nobody wants it any more.
    pub(super) fn send(&self, index: usize, reading: Reading) -> bool {
        !self.is_stopped() && self.sender.send(Event::Read(index, reading)).is_ok()
    }
}

impl Task {
    /// The first poll of the source with this index, of a collector that `began` then.
    pub(super) fn new(index: usize, source: &Source, host: &str, began: Instant) -> Self {
        let pace = Pace::new(source, host);
        Self {
            index,
            poller: Poller::new(source),
            due: began + pace.first(),
            pace,
            number: 0,
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// How much earlier than it is due a poll may be made because the thread is awake: so many sources do
    /// not wake it once each.
    pub(super) fn slack(&self) -> Duration {
        self.pace.every() / 200
    }

    /// Polls once. A poll that takes longer than `every` is followed by the next at once.
    pub(super) fn poll(&mut self, outlet: &Outlet) -> Reading {
        let reading = self.poller.poll(&outlet.stop);
        self.number += 1;
        self.due = (self.due + self.pace.after(self.number)).max(Instant::now());
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
pub(super) fn keep_polling(mut task: Task, mut brief: Option<u32>, turns: &Turns, outlet: &Outlet) {
    while brief.is_none_or(|brief| brief < RETURN_AFTER) {
        let began = Instant::now();
        if outlet.stop.wait(task.due.saturating_duration_since(began)) {
            return;
        }
        let began = Instant::now();
        let reading = task.poll(outlet);
        let took = began.elapsed();
        brief = brief.map(|brief| if took < BRIEF { brief + 1 } else { 0 });
        if !outlet.send(task.index, reading) {
            return;
        }
    }
    turns.put(task);
}
