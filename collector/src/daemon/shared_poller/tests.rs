//! Real sources on real threads. A hung command is in the place of a file on a hung mount.

use super::super::poll_task::{BRIEF, NewReadings, PollTask, ReadingSink, TaskId};
use super::{GROUP, SharedPoller, next_wake};
use crate::filters::debounce::DebouncePolicy;
use crate::reading::Reading;
use crate::source::{Cancellation, Kind, Source, command::Command, file::File};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);
/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    readings: Receiver<(usize, Arc<Reading>)>,
    stop: Cancellation,
    /// The cancellations of the sources.
    stops: Vec<Cancellation>,
    poller: Arc<SharedPoller>,
    /// One reference for each polling thread, and this one.
    alive: Arc<()>,
    polls: BTreeMap<usize, Vec<bool>>,
}

impl Scene {
    fn new(kinds: Vec<Kind>) -> Self {
        let (sender, readings) = sync_channel(kinds.len() + 1);
        let (stop, alive) = (Cancellation::new(), Arc::new(()));
        let take = move |readings: NewReadings| {
            let mut readings = readings.into_iter();
            readings.all(|(task, new)| sender.send((task.0, new.reading)).is_ok())
        };
        let sink = ReadingSink::new(&stop, Arc::new(take), &alive);
        let began = Instant::now();
        let tasks = kinds.into_iter().enumerate().map(|(index, kind)| {
            let source = Source {
                name: format!("s{index}"),
                interval: EVERY,
                jitter: Duration::ZERO,
                timeout: PATIENCE,
                raw_text: false,
                debounce: DebouncePolicy::default(),
                kind,
            };
            PollTask::new(TaskId(index), &source, "host", began)
        });
        let tasks: Vec<PollTask> = tasks.collect();
        let stops = tasks.iter().map(PollTask::stop).collect();
        let poller = Arc::new(SharedPoller::default());
        SharedPoller::add(&poller, tasks, &sink).unwrap();
        Self {
            readings,
            stop,
            stops,
            poller,
            alive,
            polls: BTreeMap::new(),
        }
    }

    fn threads(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// Takes readings until the source with this index has this many.
    fn wait_for(&mut self, index: usize, polls: usize) {
        while self.polls(index) < polls {
            let (index, reading) = self.readings.recv_timeout(PATIENCE).unwrap();
            self.polls.entry(index).or_default().push(reading.is_ok());
        }
    }

    fn polls(&self, index: usize) -> usize {
        self.polls.get(&index).map_or(0, Vec::len)
    }

    /// Stops; all threads end.
    fn end(self) {
        self.stop.stop();
        for stop in &self.stops {
            stop.stop();
        }
        drop(self.readings);
        self.poller.wake();
        let until = Instant::now() + PATIENCE;
        while Arc::strong_count(&self.alive) > 1 {
            assert!(Instant::now() < until, "threads are left");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn file() -> Kind {
    Kind::File(File::at("/proc/sys/kernel/random/boot_id"))
}

fn command(script: &str) -> Kind {
    Kind::Command(Box::new(Command::new(&["/bin/sh", "-c", script])))
}

#[test]
fn many_sources_share_one_thread() {
    let mut scene = Scene::new((0..50).map(|_| file()).collect());
    for index in 0..50 {
        scene.wait_for(index, 5);
    }
    assert!(scene.polls.values().flatten().all(|ok| *ok));
    // One polls and one watches. On a busy machine a poll may seem slow.
    assert!(scene.threads() < 50);
    scene.end();
}

#[test]
fn hung_source_delays_no_other_and_is_not_polled_twice() {
    let started =
        std::env::temp_dir().join(format!("agentcheck-turns-{}-hung", std::process::id()));
    let _ = std::fs::remove_file(&started);
    let hangs = format!("echo >> {}; exec sleep 1000", started.display());
    let mut scene = Scene::new(vec![file(), command(&hangs), file(), command(&hangs)]);
    // In this time the hung sources would have been polled twenty times.
    for index in [0, 2] {
        scene.wait_for(index, 20);
    }
    assert_eq!((scene.polls(1), scene.polls(3)), (0, 0));
    let polls = std::fs::read_to_string(&started).unwrap();
    assert_eq!(polls.lines().count(), 2);
    assert!((4..=6).contains(&scene.threads()), "{}", scene.threads());
    scene.end();
    std::fs::remove_file(started).unwrap();
}

#[test]
fn slow_source_continues_and_returns_to_the_shared_thread() {
    let gate = std::env::temp_dir().join(format!("agentcheck-turns-{}-gate", std::process::id()));
    let _ = std::fs::remove_file(&gate);
    let waits = format!("until test -e {}; do sleep 0.05; done", gate.display());
    let mut scene = Scene::new(vec![file(), command(&waits)]);
    scene.wait_for(0, 5);
    assert_eq!(scene.polls(1), 0);
    assert!((3..=4).contains(&scene.threads()), "{}", scene.threads());
    std::fs::write(&gate, "").unwrap();
    // No more threads than before, and no fewer polls, however slow a shell is on this machine.
    scene.wait_for(1, 5);
    assert!((2..=4).contains(&scene.threads()), "{}", scene.threads());
    let before = scene.polls(0);
    scene.wait_for(0, before + 5);
    scene.end();
    std::fs::remove_file(gate).unwrap();
}

#[test]
fn blocked_loop_creates_no_threads() {
    let mut scene = Scene::new((0..100).map(|_| file()).collect());
    // The channel is full after the first polls, and the thread waits. If that counted as a slow poll, another
    // thread would start every 20 ms.
    thread::sleep(EVERY + BRIEF * 40);
    assert!(scene.threads() < 20);
    scene.wait_for(0, 10);
    scene.end();
}

#[test]
fn sources_share_a_wake_up_and_none_is_late() {
    let began = Instant::now();
    let at = |milliseconds| began + Duration::from_millis(milliseconds);
    let source = Source {
        name: "s".to_owned(),
        interval: EVERY,
        jitter: Duration::ZERO,
        timeout: PATIENCE,
        raw_text: false,
        debounce: DebouncePolicy::default(),
        kind: file(),
    };
    let wake = |times: &[(u64, u64)]| {
        let tasks = times.iter().map(|(due, latest)| {
            let mut task = PollTask::new(TaskId(0), &source, "host", began);
            (task.due, task.latest) = (at(*due), at(*latest));
            task
        });
        let tasks: Vec<PollTask> = tasks.collect();
        next_wake(tasks.iter()).map(|wake| wake.duration_since(began).as_millis())
    };
    assert_eq!(wake(&[]), None);
    assert_eq!(wake(&[(10, 20)]), Some(10), "nothing to wait for");
    assert_eq!(wake(&[(10, 20), (15, 30), (25, 40)]), Some(15));
    assert_eq!(wake(&[(10, 20), (12, 14), (15, 30)]), Some(12));
    assert_eq!(wake(&[(10, 10), (11, 20)]), Some(10), "without jitter");
    let many: Vec<(u64, u64)> = (0..300).map(|due| (due, 1000)).collect();
    assert_eq!(wake(&many), Some(GROUP as u128 - 1));
}

/// Two sources that begin apart are polled together in the end, as often as their schedules want it.
#[test]
fn sources_of_one_interval_end_in_one_batch() {
    let source = |name: &str| Source {
        name: name.to_owned(),
        interval: EVERY,
        jitter: EVERY / 4,
        timeout: PATIENCE,
        raw_text: false,
        debounce: DebouncePolicy::default(),
        kind: file(),
    };
    let (sender, batches) = sync_channel(1000);
    let (stop, alive) = (Cancellation::new(), Arc::new(()));
    let take = move |readings: NewReadings| sender.send(readings.len()).is_ok();
    let sink = ReadingSink::new(&stop, Arc::new(take), &alive);
    let began = Instant::now();
    let starts = [began, began + EVERY / 8].into_iter().enumerate();
    let tasks = starts.map(|(index, start)| {
        PollTask::new(TaskId(index), &source(&format!("s{index}")), "host", start)
    });
    let poller = Arc::new(SharedPoller::default());
    SharedPoller::add(&poller, tasks.collect(), &sink).unwrap();
    let mut in_a_row = 0;
    while in_a_row < 10 {
        match batches.recv_timeout(PATIENCE).unwrap() {
            2 => in_a_row += 1,
            _ => in_a_row = 0,
        }
    }
    stop.stop();
    poller.wake();
}
