//! The system source with recorded trees of /proc, and live.

use super::*;
use crate::source::stopped;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const AMPLE: Duration = Duration::from_secs(30);
const NOT_BLOCKED: Duration = Duration::from_secs(20);

/// The metrics of the whole machine, which need only /proc.
const OF_THE_MACHINE: [Metric; 4] = [CPU, MEMORY, Metric::Swap, Metric::Load];
const CPU: Metric = Metric::Cpu { cgroup: None };
const MEMORY: Metric = Metric::Memory { cgroup: None };

fn recorded(kernel: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/proc");
    data.join(kernel)
}

fn poll(root: &Path, metric: &Metric) -> Result<Numbers, Failure> {
    let mut sampler = Sampler::under(root, metric.clone());
    numbers(sampler.poll(Deadline::within(AMPLE), &Cancellation::new()))
}

/// The numbers that were found, checked: numbers alone, and only announced parts.
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

/// A root directory with files that a test can rewrite, removed at the end.
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
    let memory = poll(&recorded("linux-6.18"), &MEMORY).unwrap();
    assert!((memory.value - 100.0 * (1.0 - 23_945_612.0 / 24_684_092.0)).abs() < 1e-9);
    assert_eq!(part(&memory, "total"), 24_684_092.0 * 1024.0);
    assert_eq!(part(&memory, "available"), 23_945_612.0 * 1024.0);
    let metric = MEMORY;
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
            let found =
                numbers(sampler.poll(Deadline::within(AMPLE), &Cancellation::new())).unwrap();
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
fn busy_machine_is_busy() {
    // One thread that only counts, on however many cores there are.
    let stop = Cancellation::new();
    let worker = {
        let stop = stop.clone();
        thread::spawn(move || while !stop.is_stopped() {})
    };
    let busy = poll(Path::new("/"), &CPU).unwrap();
    stop.stop();
    worker.join().unwrap();
    assert!(busy.value > 0.0, "{busy:?}");
    // Wherever it is counted: the tests may run at a lower priority on a shared machine.
    let parts = ["user", "nice", "steal"].map(|name| part(&busy, name));
    assert!(parts.iter().sum::<f64>() > 0.0, "{busy:?}");
}

#[test]
fn poll_continues_from_the_last_poll() {
    let root = Root::new("goes-on");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let mut sampler = Sampler::under(&root.0, CPU);
    sampler.latest = Some(CpuTimes::default());
    let mut poll = |stat: &str| {
        root.stat(stat);
        let found = numbers(sampler.poll(Deadline::within(AMPLE), &Cancellation::new()));
        found.map(|numbers| (numbers.value, part(&numbers, "user")))
    };
    assert_eq!(poll("cpu 100 0 0 100 0 0 0 0\n"), Ok((50.0, 50.0)));
    assert_eq!(poll("cpu 125 0 50 125 0 0 0 0\n"), Ok((75.0, 25.0)));
    // An unreadable sample does not become a part of the next value.
    assert_eq!(poll("cpu what\n").unwrap_err().reason, Reason::Malformed);
    assert_eq!(poll("cpu 125 0 50 225 0 0 0 0\n"), Ok((0.0, 0.0)));
}

#[test]
fn stuck_counters_are_reported_and_never_an_old_value() {
    let root = Root::new("stuck");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let mut sampler = Sampler::under(&root.0, CPU);
    let started = Instant::now();
    for _ in 0..2 {
        let deadline = Deadline::within(Duration::from_millis(500));
        let found = sampler.poll(deadline, &Cancellation::new());
        assert_eq!(
            found.outcome.unwrap_err().to_string(),
            "other: the counters of /proc/stat did not advance during the poll"
        );
    }
    assert!(started.elapsed() < NOT_BLOCKED);
}

#[test]
fn stop_ends_the_wait_for_a_second_sample() {
    let root = Root::new("stop");
    root.stat("cpu 100 0 0 100 0 0 0 0\n");
    let stop = Cancellation::new();
    stop.stop();
    let mut sampler = Sampler::under(&root.0, CPU);
    let started = Instant::now();
    let found = sampler.poll(Deadline::within(Duration::from_secs(3600)), &stop);
    assert_eq!(found.outcome, Err(stopped()));
    assert!(started.elapsed() < NOT_BLOCKED);
}

#[test]
fn absent_proc_is_missing() {
    for metric in OF_THE_MACHINE {
        let failure = value(Path::new("/no/such/root"), &metric).unwrap_err();
        assert_eq!(failure.reason, Reason::Missing, "{metric}");
    }
}

fn pressure(resource: Resource) -> Metric {
    Metric::Pressure {
        resource,
        cgroup: None,
    }
}

fn in_cgroup(path: &str) -> Option<Cgroup> {
    Some(Cgroup::Path(path.to_owned()))
}

#[test]
fn pressure_of_recorded_kernels() {
    let root = recorded("linux-6.18");
    let cpu = poll(&root, &pressure(Resource::Cpu)).unwrap();
    assert_eq!((cpu.value, part(&cpu, "some_avg60")), (36.52, 51.78));
    let memory = poll(&root, &pressure(Resource::Memory)).unwrap();
    assert_eq!((memory.value, part(&memory, "full_avg300")), (0.0, 0.0));
    // Before 5.13 cpu had no full.
    let old = poll(&recorded("linux-5.10-offline"), &pressure(Resource::Cpu)).unwrap();
    assert_eq!((old.value, old.parts.len()), (2.5, 3));
    let none = value(&recorded("linux-3.10"), &pressure(Resource::Io)).unwrap_err();
    assert_eq!(none.reason, Reason::Missing);
    assert!(none.detail.ends_with(" (it needs Linux 4.20, and psi=1)"));
}

#[test]
fn pressure_of_this_machine() {
    for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
        let found = value(Path::new("/"), &pressure(resource));
        match (found, Path::new("/proc/pressure").exists()) {
            (Ok(share), true) => assert!((0.0..=100.0).contains(&share), "{share}"),
            (Err(failure), false) => assert_eq!(failure.reason, Reason::Missing),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn memory_and_pressure_of_recorded_cgroups() {
    let root = recorded("cgroup-v2");
    for (cgroup, total, used) in [
        // Its own limit of 512 MiB; 384 MiB are used, of which 128 MiB are files that can be given back.
        ("/app.slice/web.service", 512, 256),
        // None of its own, 1 GiB for the slice.
        ("/app.slice/batch.service", 1024, 100),
        // None at all: the machine's 8 GiB.
        ("/free.service", 8192, 64),
    ] {
        let cgroup = in_cgroup(cgroup);
        let found = poll(&root, &Metric::Memory { cgroup }).unwrap();
        let mib = |number: u32| f64::from(number) * 1_048_576.0;
        assert_eq!(part(&found, "total"), mib(total));
        assert_eq!(part(&found, "available"), mib(total - used));
        assert_eq!(found.value, 100.0 * mib(used) / mib(total));
    }
    let own = Some(Cgroup::Own);
    let found = poll(
        &root,
        &Metric::Memory {
            cgroup: own.clone(),
        },
    )
    .unwrap();
    assert_eq!(part(&found, "total"), 8192.0 * 1_048_576.0);
    let some = |cgroup| Metric::Pressure {
        resource: Resource::Memory,
        cgroup,
    };
    let web = in_cgroup("/app.slice/web.service");
    assert_eq!(value(&root, &some(web)), Ok(12.5));
    assert_eq!(value(&root, &some(own)), Ok(0.0));
}

#[test]
fn absent_cgroup_is_missing() {
    for (root, cgroup) in [
        (
            recorded("cgroup-v2"),
            in_cgroup("/app.slice/absent.service"),
        ),
        (recorded("linux-6.18"), in_cgroup("/app.slice")),
        // Of the whole tree no memory is counted.
        (recorded("cgroup-v2"), in_cgroup("/")),
    ] {
        let failure = value(&root, &Metric::Memory { cgroup }).unwrap_err();
        assert_eq!(failure.reason, Reason::Missing, "{failure}");
    }
    let cgroup = in_cgroup("/app.slice/absent.service");
    let failure = value(&recorded("cgroup-v2"), &Metric::Cpu { cgroup }).unwrap_err();
    assert_eq!(failure.reason, Reason::Missing);
}

#[test]
fn recreated_cgroup_has_no_negative_time() {
    let root = Root::new("cgroup");
    for file in ["proc/stat", "proc/self/mountinfo"] {
        let content = fs::read_to_string(recorded("cgroup-v2").join(file)).unwrap();
        root.with(file, &content);
    }
    let stat = |usage: u64| {
        let line = format!("usage_usec {usage}\nuser_usec {usage}\nsystem_usec 0\n");
        root.with("sys/fs/cgroup/a.service/cpu.stat", &line);
    };
    root.with("sys/fs/cgroup/a.service/cpu.max", "200000 100000\n");
    let cgroup = in_cgroup("/a.service");
    let mut sampler = Sampler::under(&root.0, Metric::Cpu { cgroup });
    let mut poll = || numbers(sampler.poll(Deadline::within(AMPLE), &Cancellation::new()));
    stat(5_000_000);
    let idle = poll().unwrap();
    assert_eq!((idle.value, part(&idle, "cores")), (0.0, 2.0));
    stat(6_000_000);
    let busy = poll().unwrap();
    assert!(busy.value > 0.0, "{busy:?}");
    assert_eq!(part(&busy, "user"), busy.value);
    // Made again, it counts from 0: never a negative number, and no number of the time before.
    stat(1_000_000);
    assert_eq!(poll().unwrap().value, 0.0);
    root.with("sys/fs/cgroup/a.service/cpu.max", "what\n");
    assert_eq!(poll().unwrap_err().reason, Reason::Malformed);
}

/// On any machine: a number of the collector's own cgroup, or the reason that there is none.
#[test]
fn the_cgroup_of_this_process() {
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounted.contains(" - cgroup2 ");
    let cgroup = Some(Cgroup::Own);
    match (poll(Path::new("/"), &Metric::Cpu { cgroup }), mounted) {
        (Ok(found), true) => {
            assert!((0.0..=100.0).contains(&found.value), "{found:?}");
            assert!(part(&found, "cores") > 0.0, "{found:?}");
        }
        (Err(failure), _) => assert_eq!(failure.reason, Reason::Missing),
        other => panic!("{other:?}"),
    }
}

#[test]
fn disk_and_processes() {
    let root = Path::new("/");
    let path = PathBuf::from("/");
    let disk = Metric::Disk { path };
    let found = poll(root, &disk).unwrap();
    assert!((0.0..=100.0).contains(&found.value), "{found:?}");
    let names: Vec<&str> = found.parts.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, disk.parts());
    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_str().unwrap().to_owned();
    let processes = Metric::Processes { name };
    assert!(value(root, &processes).unwrap() >= 1.0);
}
