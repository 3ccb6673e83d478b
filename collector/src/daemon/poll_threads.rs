//! The polling threads: one for each source that waits (http, tcp, command), and a shared one for all others.
//!
//! A thousand threads would need 44 MB for their stacks.

use super::poll_task::{NewReadings, PollTask, ReadingSink, TaskId, keep_polling, spawn};
use super::shared_poller::SharedPoller;
use crate::config::SourceId;
use crate::reading::names::NameMap;
use crate::source::{Cancellation, Source, stream};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// All polling threads.
pub(crate) struct PollThreads {
    shared: Arc<SharedPoller>,
    sink: ReadingSink,
    host: String,
    /// By [`SourceId`].
    polled: Vec<PolledSource>,
    /// The source of each task: a poll may end after its source was removed.
    sources: NameMap<TaskId, SourceId>,
    /// The id of the next task.
    next: TaskId,
}

#[derive(Clone)]
struct PolledSource {
    task: TaskId,
    stop: Cancellation,
}

impl PollThreads {
    /// Starts the threads. `take` gets all readings. If it returns false, the thread ends.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub(crate) fn start(
        sources: &[Source],
        take: impl Fn(NewReadings) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let uname = rustix::system::uname();
        let mut polling = Self {
            shared: Arc::new(SharedPoller::default()),
            sink: ReadingSink::new(&Cancellation::new(), Arc::new(take), &Arc::new(())),
            host: uname.nodename().to_string_lossy().into_owned(),
            polled: Vec::new(),
            sources: NameMap::default(),
            next: TaskId(0),
        };
        polling.change(sources, |_| None)?;
        Ok(polling)
    }

    /// Polls `sources` from now on. `kept` returns the former id of an unchanged source, which continues. Removed sources
    /// end with their running poll.
    ///
    /// # Errors
    /// Where a thread cannot be created; then nothing has changed.
    pub(super) fn change(
        &mut self,
        sources: &[Source],
        kept: impl Fn(SourceId) -> Option<SourceId>,
    ) -> io::Result<()> {
        let began = Instant::now();
        let mut polled = Vec::with_capacity(sources.len());
        let mut started = Vec::new();
        let mut sharing = Vec::new();
        let mut outcome = Ok(());
        for (index, source) in sources.iter().enumerate() {
            let before = kept(SourceId(index));
            if let Some(before) = before.and_then(|before| self.polled.get(before.0)) {
                polled.push(before.clone());
                continue;
            }
            let task = PollTask::new(self.next, source, &self.host, began);
            let new = PolledSource {
                task: self.next,
                stop: task.stop(),
            };
            self.next.0 += 1;
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
        let tasks = polled.iter().enumerate();
        self.sources = tasks.map(|(at, one)| (one.task, SourceId(at))).collect();
        for before in std::mem::replace(&mut self.polled, polled) {
            if !self.sources.contains_key(&before.task) {
                before.stop.stop();
            }
        }
        self.shared.drop_stopped();
        Ok(())
    }

    /// The source of a task, if it is still polled.
    pub(crate) fn source(&self, task: TaskId) -> Option<SourceId> {
        self.sources.get(&task).copied()
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
