//! Real sources on real threads. What hangs is a command, which sources that take turns never are, in the
//! place of a file on a mount that has gone away, which a test cannot have.

use super::super::poll_task::{BRIEF, PollTask, ReadingSink};
use super::SharedPoller;
use crate::filters::debounce::DebouncePolicy;
use crate::reading::Reading;
use crate::source::{Cancellation, Kind, Source, command::Command, file::File};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);
/// What a test waits for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    readings: Receiver<(usize, Reading)>,
    stop: Cancellation,
    /// Those of the sources.
    stops: Vec<Cancellation>,
    turns: Arc<SharedPoller>,
    /// As many as there are polling threads, and this one.
    alive: Arc<()>,
    polls: BTreeMap<usize, Vec<bool>>,
}

impl Scene {
    fn new(kinds: Vec<Kind>) -> Self {
        let (sender, readings) = sync_channel(kinds.len() + 1);
        let (stop, alive) = (Cancellation::new(), Arc::new(()));
        let take = move |number, reading| sender.send((number, reading)).is_ok();
        let outlet = ReadingSink::new(&stop, Arc::new(take), &alive);
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
            PollTask::new(index, &source, "host", began)
        });
        let tasks: Vec<PollTask> = tasks.collect();
        let stops = tasks.iter().map(PollTask::stop).collect();
        let turns = Arc::new(SharedPoller::default());
        SharedPoller::add(&turns, tasks, &outlet).unwrap();
        Self {
            readings,
            stop,
            stops,
            turns,
            alive,
            polls: BTreeMap::new(),
        }
    }

    fn threads(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// Takes readings until the source with this index has given so many in all.
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
        self.turns.wake();
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
    Kind::Command(Command::new(&["/bin/sh", "-c", script]))
}

#[test]
fn sources_take_turns_on_one_thread() {
    let mut scene = Scene::new((0..50).map(|_| file()).collect());
    for index in 0..50 {
        scene.wait_for(index, 5);
    }
    assert!(scene.polls.values().flatten().all(|ok| *ok));
    // One that polls, one that watches; a busy machine may have looked like a poll that takes long.
    assert!(scene.threads() < 50);
    scene.end();
}

#[test]
fn one_that_hangs_holds_up_nobody_and_does_not_overlap_itself() {
    let started =
        std::env::temp_dir().join(format!("agentcheck-turns-{}-hung", std::process::id()));
    let _ = std::fs::remove_file(&started);
    let hangs = format!("echo >> {}; exec sleep 1000", started.display());
    let mut scene = Scene::new(vec![file(), command(&hangs), file(), command(&hangs)]);
    // In the time in which the hung ones would have been polled twenty times.
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
fn one_that_was_held_up_goes_on_and_takes_its_turns_again() {
    let gate = std::env::temp_dir().join(format!("agentcheck-turns-{}-gate", std::process::id()));
    let _ = std::fs::remove_file(&gate);
    let waits = format!("until test -e {}; do sleep 0.05; done", gate.display());
    let mut scene = Scene::new(vec![file(), command(&waits)]);
    scene.wait_for(0, 5);
    assert_eq!(scene.polls(1), 0);
    assert!((3..=4).contains(&scene.threads()), "{}", scene.threads());
    std::fs::write(&gate, "").unwrap();
    // No more than before, and no fewer polls, whether or not a shell is brief on this machine.
    scene.wait_for(1, 5);
    assert!((2..=4).contains(&scene.threads()), "{}", scene.threads());
    let before = scene.polls(0);
    scene.wait_for(0, before + 5);
    scene.end();
    std::fs::remove_file(gate).unwrap();
}

#[test]
fn a_loop_that_is_behind_makes_no_threads() {
    let mut scene = Scene::new((0..100).map(|_| file()).collect());
    // Nobody takes anything: the channel is full after the first polls, and then the thread waits. Were
    // that taken for a poll that hangs, every 20 ms another thread would begin to.
    thread::sleep(EVERY + BRIEF * 40);
    assert!(scene.threads() < 20);
    scene.wait_for(0, 10);
    scene.end();
}
