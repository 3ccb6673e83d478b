//! A source that counts, so that the age of each reply is known: a value is as old as the moment when the next
//! one replaced it, or younger.

use crate::prober::Sample;
use crate::state::now;
use agentcheck_common::{BootTime, Reply};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The counter at which the weight would be nothing.
pub const MOST: u64 = 100_000;

/// A configuration of one service, `tick`, whose weight falls as the counter in that file rises; a reply is
/// good for so long.
#[must_use]
pub fn configuration(counter: &Path, fresh_for: Duration) -> String {
    format!(
        r#"
[source.tick.file]
path = "{}"
format = "number"
interval = "100ms"
timeout = "200ms"

[service.tick]
weight = "headroom(tick.value, {MOST})"
fresh_for = "{}ms"
"#,
        counter.display(),
        fresh_for.as_millis()
    )
}

/// A file with 1, 2, 3 and so on, and the times of each number.
#[derive(Debug)]
pub struct Counter {
    file: PathBuf,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
    written: Arc<Mutex<Vec<BootTime>>>,
}

impl Counter {
    /// Begins to count, every 20 ms.
    ///
    /// # Panics
    /// Where the file cannot be written.
    #[must_use]
    pub fn start(file: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(Mutex::new(vec![now()]));
        let write = {
            let (file, written) = (file.to_owned(), Arc::clone(&written));
            move |count: u64| {
                let part = file.with_extension("part");
                std::fs::write(&part, count.to_string()).unwrap();
                std::fs::rename(&part, &file).unwrap();
                written.lock().unwrap().push(now());
            }
        };
        write(1);
        let reported = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut count = 1;
            while !reported.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
                count += 1;
                write(count);
            }
        });
        Self {
            file: file.to_owned(),
            stop,
            thread,
            written,
        }
    }

    /// Where it counts.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// When each value was there at the latest; the index is the value.
    ///
    /// # Panics
    /// Where it could not count.
    #[must_use]
    pub fn stop(self) -> Vec<BootTime> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the counter counts");
        let written = self.written.lock().unwrap();
        written.clone()
    }
}

/// How many answers there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Of a poll that was not too old.
    pub fresh: usize,
    /// Marked as stale.
    pub stale: usize,
    /// The last reply, while a poll failed under a collector that lives.
    pub kept: usize,
    /// A word that changes nothing, as the prober allows it.
    pub frozen: usize,
}

impl AddAssign for Judged {
    fn add_assign(&mut self, other: Self) {
        self.fresh += other.fresh;
        self.stale += other.stale;
        self.kept += other.kept;
        self.frozen += other.frozen;
    }
}

/// Checks every reply against the counter at that moment.
///
/// # Panics
/// At the first that is older than `fresh_for`, or that goes back in time, and is not marked as stale.
#[must_use]
pub fn judge(samples: &[Sample], written: &[BootTime], fresh_for: Duration) -> Judged {
    let mut judged = Judged::default();
    let mut last_tick = 0;
    let mut last_percent = 100;
    for sample in samples {
        let Ok(reply) = Reply::parse(sample.line.as_bytes()) else {
            // A no-op reply; the prober checks it.
            judged.frozen += 1;
            continue;
        };
        let percent = reply.percent.expect("a weight in every line").get();
        assert!(percent <= last_percent, "back in time: {sample:?}");
        last_percent = percent;
        let why = reply.description.as_str();
        if why == "stale" {
            judged.stale += 1;
        } else if let Some(tick) = why.strip_prefix("tick=") {
            judged.fresh += 1;
            let tick: u64 = tick.parse().unwrap_or_else(|_| panic!("{sample:?}"));
            let expected = 100 - (100 * tick).div_ceil(MOST);
            assert_eq!(u64::from(percent), expected, "{sample:?}");
            assert!(tick >= last_tick, "back in time: {sample:?}");
            last_tick = tick;
            // The poll was sent before the next value was there. Where there is no next one, the
            // counter has only just got so far.
            let next = usize::try_from(tick + 1).unwrap();
            if let Some(replaced) = written.get(next) {
                let until = replaced.after(fresh_for);
                assert!(
                    sample.sent_at < until,
                    "too old, good until {until}: {sample:?}"
                );
            }
        } else {
            // A poll that a busy machine did not let finish in time, or that had no descriptor.
            let known = [
                "kept: tick timeout",
                "kept: tick overdue",
                "kept: tick other",
            ];
            assert!(known.contains(&why), "{sample:?}");
            judged.kept += 1;
        }
    }
    judged
}
