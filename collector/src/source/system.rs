//! The system source: how busy this machine is, by what its kernel counts.
//!
//! In a container /proc is the whole machine's, unless something like lxcfs is mounted over it.
//!
//! Not here: swap, pressure, disks, connections, processes, cgroups (a later version).

mod parse;

use super::file::read_bounded;
use super::{Deadline, Found, Stop, stopped};
use crate::reading::{Content, Failure, Reason};
use parse::CpuTimes;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// /proc/stat on a machine of thousands of cores and interrupts is some hundred kilobytes.
const MAX_BYTES: usize = 4 << 20;
/// Between two samples of the processors' times that are taken in one poll: 20 ticks per core.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(200);

/// `[source.NAME.system]`, `metric = "..."`. Its values are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `cpu`: how busy all cores together were since the poll before, in per cent (0 to 100). The first
    /// poll looks twice, 200 ms apart. Waiting for disks is idle, time stolen by other virtual machines
    /// is busy.
    Cpu,
    /// `memory`: in use, in per cent (0 to 100) of all: what the kernel could not make available without
    /// swapping. Linux 3.14 or later.
    Memory,
    /// `load`: the load average over one minute, per online core (1.0 is one task per core; no upper
    /// bound).
    Load,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Load];

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Load => "load",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A system source that is being polled.
#[derive(Debug)]
pub(super) struct Sampler {
    metric: Metric,
    /// Where /proc is.
    root: PathBuf,
    /// The processors' times at the poll before.
    latest: Option<CpuTimes>,
}

impl Sampler {
    pub(super) fn new(metric: Metric) -> Self {
        Self::under(Path::new("/"), metric)
    }

    fn under(root: &Path, metric: Metric) -> Self {
        Self {
            metric,
            root: root.to_owned(),
            latest: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Stop) -> Found {
        let value = match self.metric {
            Metric::Cpu => self.cpu(deadline, stop),
            Metric::Memory => read_memory(&self.root, deadline),
            Metric::Load => read_load_per_core(&self.root, deadline),
        };
        Found::outcome(value.and_then(finite))
    }

    /// Where there is no earlier sample, or no time has passed since it, a second one is taken in this
    /// poll: never is a value made up, or an old one told as new.
    fn cpu(&mut self, deadline: Deadline, stop: &Stop) -> Result<f64, Failure> {
        loop {
            let now = read_cpu_times(&self.root, deadline)?;
            let busy = self.latest.and_then(|latest| now.busy_since(&latest));
            self.latest = Some(now);
            if let Some(busy) = busy {
                return Ok(busy);
            }
            if deadline.has_passed() {
                return Err(deadline.failure("no second sample with time between"));
            }
            // Half of what is left, so that the second sample comes before the end.
            if stop.wait(BETWEEN_SAMPLES.min(deadline.remaining() / 2)) {
                return Err(stopped());
            }
        }
    }
}

/// The numbers of the kernel are finite, and so are the quotients; nothing else may ever leave here.
fn finite(value: f64) -> Result<Content, Failure> {
    if value.is_finite() {
        Ok(Content::Number(value))
    } else {
        Err(Failure::new(Reason::Malformed, "not a finite number"))
    }
}

fn read_cpu_times(root: &Path, deadline: Deadline) -> Result<CpuTimes, Failure> {
    parse::parse_cpu_times(&read(root, "proc/stat", deadline)?)
}

fn read_memory(root: &Path, deadline: Deadline) -> Result<f64, Failure> {
    parse::parse_memory(&read(root, "proc/meminfo", deadline)?)
}

fn read_load_per_core(root: &Path, deadline: Deadline) -> Result<f64, Failure> {
    let load = parse::parse_load(&read(root, "proc/loadavg", deadline)?)?;
    let cores = parse::parse_online_cores(&read(root, "proc/stat", deadline)?)?;
    Ok(load / f64::from(cores))
}

fn read(root: &Path, name: &str, deadline: Deadline) -> Result<String, Failure> {
    let content = read_bounded(&root.join(name), MAX_BYTES, deadline)?;
    String::from_utf8(content)
        .map_err(|_| Failure::new(Reason::Malformed, format_args!("/{name} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread;
    use std::time::Instant;

    const AMPLE: Duration = Duration::from_secs(30);
    const NOT_HELD: Duration = Duration::from_secs(20);

    fn recorded(kernel: &str) -> PathBuf {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/proc");
        data.join(kernel)
    }

    fn poll(root: &Path, metric: Metric) -> Result<f64, Failure> {
        let found = Sampler::under(root, metric).poll(Deadline::within(AMPLE), &Stop::new());
        assert_eq!((found.status, found.exit, found.text), (None, None, None));
        found.outcome.map(|content| match content {
            Content::Number(value) => value,
            other => panic!("{other:?}"),
        })
    }

    /// A root of its own with a /proc/stat that a test can rewrite, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let name = format!("agentcheck-system-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(root.join("proc")).unwrap();
            Self(root)
        }

        fn stat(&self, content: &str) {
            let beside = self.0.join("proc/new");
            fs::write(&beside, content).unwrap();
            fs::rename(&beside, self.0.join("proc/stat")).unwrap();
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_and_metrics_belong_together() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
        assert_eq!(Metric::parse("CPU"), None);
    }

    #[test]
    fn recorded_kernels() {
        let memory = poll(&recorded("linux-6.18"), Metric::Memory).unwrap();
        assert!((memory - 100.0 * (1.0 - 23_945_612.0 / 24_684_092.0)).abs() < 1e-9);
        assert_eq!(
            poll(&recorded("linux-5.10-offline"), Metric::Memory),
            Ok(25.0)
        );
        let old = poll(&recorded("linux-3.10"), Metric::Memory).unwrap_err();
        assert_eq!(old.reason, Reason::Malformed);
        let none = poll(&recorded("linux-2.6.9"), Metric::Memory).unwrap_err();
        assert_eq!(none.reason, Reason::Missing);

        // Three of four cores are online.
        assert_eq!(
            poll(&recorded("linux-5.10-offline"), Metric::Load),
            Ok(1.25)
        );
        assert_eq!(poll(&recorded("linux-3.10"), Metric::Load), Ok(0.08));
        assert_eq!(poll(&recorded("linux-2.6.9"), Metric::Load), Ok(1.0));
        for kernel in [
            "linux-6.18",
            "linux-5.10-offline",
            "linux-3.10",
            "linux-2.6.9",
        ] {
            let times = read_cpu_times(&recorded(kernel), Deadline::within(AMPLE)).unwrap();
            let all = times.busy_since(&CpuTimes::default()).unwrap();
            assert!((0.1..50.0).contains(&all), "{kernel}: {all}");
        }
    }

    #[test]
    fn this_machine() {
        for metric in Metric::ALL {
            let mut sampler = Sampler::new(metric);
            for _ in 0..2 {
                let found = sampler.poll(Deadline::within(AMPLE), &Stop::new());
                let Ok(Content::Number(value)) = found.outcome else {
                    panic!("{metric}: {found:?}");
                };
                assert!(value.is_finite() && value >= 0.0, "{metric}: {value}");
                assert!(
                    metric == Metric::Load || value <= 100.0,
                    "{metric}: {value}"
                );
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
        let busy = poll(Path::new("/"), Metric::Cpu).unwrap();
        stop.stop();
        worker.join().unwrap();
        assert!(busy > 0.0, "{busy}");
    }

    #[test]
    fn one_poll_goes_on_from_the_poll_before() {
        let root = Root::new("goes-on");
        root.stat("cpu 100 0 0 100 0 0 0 0\n");
        let mut sampler = Sampler::under(&root.0, Metric::Cpu);
        sampler.latest = Some(CpuTimes::default());
        let mut poll = |stat: &str| {
            root.stat(stat);
            sampler.poll(Deadline::within(AMPLE), &Stop::new()).outcome
        };
        assert_eq!(poll("cpu 100 0 0 100 0 0 0 0\n"), Ok(Content::Number(50.0)));
        assert_eq!(poll("cpu 175 0 0 125 0 0 0 0\n"), Ok(Content::Number(75.0)));
        // A sample that cannot be read does not become a part of the next value.
        assert_eq!(poll("cpu what\n").unwrap_err().reason, Reason::Malformed);
        assert_eq!(poll("cpu 175 0 0 225 0 0 0 0\n"), Ok(Content::Number(0.0)));
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
        for metric in Metric::ALL {
            let failure = poll(Path::new("/no/such/root"), metric).unwrap_err();
            assert_eq!(failure.reason, Reason::Missing, "{metric}");
        }
    }
}
