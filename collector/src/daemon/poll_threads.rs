//! Who polls: a source whose polls wait for somebody has a thread of its own, all others take turns on one.
//!
//! A thing of memory: a thousand threads, each with the stack that a poll needs, take 44 MB.

use super::poll_task::{PollTask, ReadingSink, keep_polling, spawn};
use super::shared_poller::SharedPoller;
use crate::reading::Reading;
use crate::source::{Cancellation, Source, stream};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

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
                let outlet = self.outlet.clone();
                outcome = spawn(&source.name, move || {
                    keep_polling(task, None, &outlet);
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
        self.outlet.stop();
        stream::kill_all();
        for one in &self.polled {
            one.stop.stop();
        }
        self.turns.wake();
    }

    /// Whether all threads have ended.
    pub(super) fn is_over(&self) -> bool {
        self.outlet.is_last()
    }
}
