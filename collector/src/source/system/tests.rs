//! The system source over recorded trees of /proc, and live.

use super::*;
use crate::source::stopped;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const AMPLE: Duration = Duration::from_secs(30);
const NOT_HELD: Duration = Duration::from_secs(20);

/// The metrics of the whole machine, which need nothing but /proc.
const OF_THE_MACHINE: [Metric; 4] = [Metric::Cpu, Metric::Memory, Metric::Swap, Metric::Load];

fn recorded(kernel: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/proc");
    data.join(kernel)
}

fn poll(root: &Path, metric: &Metric) -> Result<Numbers, Failure> {
    let mut sampler = Sampler::under(root, metric.clone());
    numbers(sampler.poll(Deadline::within(AMPLE), &Stop::new()))
}

/// What was found, where it is what a metric promises: numbers alone, with no part that is not announced.
fn numbers(found: Found) -> Result<Numbers, Failure> {
    assert_eq!((found.status, found.exit, found.text), (None, None, None));
    found.outcome.map(|content| match content {
        Content::Numbers(numbers) => numbers,
        other => panic!("{other:?}"),
    })
}

fn value(root: &Path, metric: &Metric) -> Result<f64, Failure> {
    poll(root, metric).map(|numbers| numbers.value)
}

fn part(numbers: &Numbers, name: &str) -> f64 {
    let mut parts = numbers.parts.iter();
    let found = parts.find(|(part, _)| *part == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {numbers:?}"))
        .1
}

/// A root of its own with files that a test can rewrite, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let name = format!("agentcheck-system-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("proc")).unwrap();
        Self(root)
    }

    fn with(&self, name: &str, content: &str) {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let beside = file.with_extension("new");
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, file).unwrap();
    }

    fn stat(&self, content: &str) {
        self.with("proc/stat", content);
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn memory_and_swap_of_recorded_kernels() {
    let memory = poll(&recorded("linux-6.18"), &Metric::Memory).unwrap();
    assert!((memory.value - 100.0 * (1.0 - 23_945_612.0 / 24_684_092.0)).abs() < 1e-9);
    assert_eq!(part(&memory, "total"), 24_684_092.0 * 1024.0);
    assert_eq!(part(&memory, "available"), 23_945_612.0 * 1024.0);
    let metric = Metric::Memory;
    assert_eq!(value(&recorded("linux-5.10-offline"), &metric), Ok(25.0));
    let old = value(&recorded("linux-3.10"), &metric).unwrap_err();
    assert_eq!(old.reason, Reason::Malformed);
    let none = value(&recorded("linux-2.6.9"), &metric).unwrap_err();
    assert_eq!(none.reason, Reason::Missing);

    let swap = poll(&recorded("linux-3.10"), &Metric::Swap).unwrap();
    assert_eq!((swap.value, part(&swap, "total")), (0.0, 2_147_479_552.0));
    let none = poll(&recorded("linux-5.10-offline"), &Metric::Swap).unwrap();
    assert_eq!((none.value, part(&none, "total")), (0.0, 0.0));
}

#[test]
fn load_and_processors_of_recorded_kernels() {
    // Three of four cores are online.
    let load = poll(&recorded("linux-5.10-offline"), &Metric::Load).unwrap();
    let parts = [
        ("load1", 3.75),
        ("load5", 2.1),
        ("load15", 1.05),
        ("cores", 3.0),
    ];
    assert_eq!((load.value, load.parts.as_slice()), (1.25, &parts[..]));
    assert_eq!(value(&recorded("linux-3.10"), &Metric::Load), Ok(0.08));
    assert_eq!(value(&recorded("linux-2.6.9"), &Metric::Load), Ok(1.0));
    for kernel in [
        "linux-6.18",
        "linux-5.10-offline",
        "linux-3.10",
        "linux-2.6.9",
    ] {
        let times = cpu::read_cpu_times(&recorded(kernel), Deadline::within(AMPLE)).unwrap();
        let all = times.since(&CpuTimes::default()).unwrap();
        assert!((0.1..50.0).contains(&all.value), "{kernel}: {all:?}");
    }
}

#[test]
fn this_machine() {
    for metric in OF_THE_MACHINE {
        let mut sampler = Sampler::new(metric.clone());
        for _ in 0..2 {
            let found = numbers(sampler.poll(Deadline::within(AMPLE), &Stop::new())).unwrap();
            let value = found.value;
            assert!(value.is_finite() && value >= 0.0, "{metric}: {value}");
            assert!(
                metric == Metric::Load || value <= 100.0,
                "{metric}: {value}"
            );
            let names: Vec<&str> = found.parts.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, metric.parts());
        }
    }
}

#[test]
fn a_machine_that_works_is_busy() {
    // One thread that does nothing but count, on however many cores there are.
    let stop = Stop::new();
    let worker = {
        let stop = stop.clone();
        thread::spawn(move || while !stop.is_stopped() {})
    };
    let busy = poll(Path::new("/"), &Metric::Cpu).unwrap();
    stop.stop();
    worker.join().unwrap();
    assert!(busy.value > 0.0, "{busy:?}");
    assert!(part(&busy, "user") + part(&busy, "steal") > 0.0, "{busy:?}");
}

#[test]
fn one_poll_goes_on_from_the_poll_before() {
    let root = Root::new("goes-on");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let mut sampler = Sampler::under(&root.0, Metric::Cpu);
    sampler.latest = Some(CpuTimes::default());
    let mut poll = |stat: &str| {
        root.stat(stat);
        let found = numbers(sampler.poll(Deadline::within(AMPLE), &Stop::new()));
        found.map(|numbers| (numbers.value, part(&numbers, "user")))
    };
    assert_eq!(poll("cpu 100 0 0 100 0 0 0 0\n"), Ok((50.0, 50.0)));
    assert_eq!(poll("cpu 125 0 50 125 0 0 0 0\n"), Ok((75.0, 25.0)));
    // A sample that cannot be read does not become a part of the next value.
    assert_eq!(poll("cpu what\n").unwrap_err().reason, Reason::Malformed);
    assert_eq!(poll("cpu 125 0 50 225 0 0 0 0\n"), Ok((0.0, 0.0)));
}

#[test]
fn counters_that_stand_still_are_a_timeout_and_never_an_old_value() {
    let root = Root::new("stands-still");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let mut sampler = Sampler::under(&root.0, Metric::Cpu);
    let started = Instant::now();
    for _ in 0..2 {
        let deadline = Deadline::within(Duration::from_millis(100));
        let found = sampler.poll(deadline, &Stop::new());
        assert_eq!(found.outcome.unwrap_err().reason, Reason::Timeout);
    }
    assert!(started.elapsed() < NOT_HELD);
}

#[test]
fn a_stop_ends_the_wait_for_a_second_sample() {
    let root = Root::new("stop");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let stop = Stop::new();
    stop.stop();
    let mut sampler = Sampler::under(&root.0, Metric::Cpu);
    let started = Instant::now();
    let found = sampler.poll(Deadline::within(Duration::from_secs(3600)), &stop);
    assert_eq!(found.outcome, Err(stopped()));
    assert!(started.elapsed() < NOT_HELD);
}

#[test]
fn no_proc_at_all() {
    for metric in OF_THE_MACHINE {
        let failure = value(Path::new("/no/such/root"), &metric).unwrap_err();
        assert_eq!(failure.reason, Reason::Missing, "{metric}");
    }
}
