//! The polling threads: one for each source that waits (http, tcp, command), and a shared one for all others.
//!
//! A thousand threads would need 44 MB for their stacks.

use super::poll_task::{PollTask, ReadingSink, keep_polling, spawn};
use super::shared_poller::SharedPoller;
use crate::reading::Reading;
use crate::source::{Cancellation, Source, stream};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// All polling threads.
pub(crate) struct PollThreads {
    shared: Arc<SharedPoller>,
    sink: ReadingSink,
    host: String,
    /// The sources, by index in the configuration.
    polled: Vec<PolledSource>,
    /// Indices by number: a poll may end after its source was removed.
    indices: HashMap<usize, usize>,
    /// The number of the next source.
    next: usize,
}

/// A source, with a number that no other source ever had.
#[derive(Clone)]
struct PolledSource {
    number: usize,
    stop: Cancellation,
}

impl PollThreads {
    /// Starts the threads. `take` gets each reading with the number of its source, which is its index until the
    /// sources change. If it returns false, the thread ends.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub(crate) fn start(
        sources: &[Source],
        take: impl Fn(usize, Reading) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let uname = rustix::system::uname();
        let mut polling = Self {
            shared: Arc::new(SharedPoller::default()),
            sink: ReadingSink::new(&Cancellation::new(), Arc::new(take), &Arc::new(())),
            host: uname.nodename().to_string_lossy().into_owned(),
            polled: Vec::new(),
            indices: HashMap::new(),
            next: 0,
        };
        polling.change(sources, &[])?;
        Ok(polling)
    }

    /// Polls `sources` from now on. `kept` has the former index of each unchanged source, which continues. Removed
    /// sources end with their running poll.
    ///
    /// # Errors
    /// Where a thread cannot be created; then nothing has changed.
    pub(super) fn change(&mut self, sources: &[Source], kept: &[Option<usize>]) -> io::Result<()> {
        let began = Instant::now();
        let mut polled = Vec::with_capacity(sources.len());
        let mut started = Vec::new();
        let mut sharing = Vec::new();
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
                let sink = self.sink.clone();
                outcome = spawn(&source.name, move || {
                    keep_polling(task, None, &sink);
                });
                if outcome.is_err() {
                    break;
                }
            } else {
                sharing.push(task);
            }
        }
        let outcome = outcome.and_then(|()| SharedPoller::add(&self.shared, sharing, &self.sink));
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
        self.shared.drop_stopped();
        Ok(())
    }

    /// The index of the source with this number, if it is still polled.
    pub(super) fn index(&self, number: usize) -> Option<usize> {
        self.indices.get(&number).copied()
    }

    /// Stops all polls that can be stopped.
    pub(crate) fn stop(&self) {
        self.sink.stop();
        stream::kill_all();
        for one in &self.polled {
            one.stop.stop();
        }
        self.shared.wake();
    }

    /// Whether all threads have ended.
    pub(super) fn is_over(&self) -> bool {
        self.sink.is_last()
    }
}
