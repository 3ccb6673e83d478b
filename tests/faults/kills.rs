//! The collector is killed two hundred times at random moments while four probers read: two through an
//! accept loop, two by a process for each probe. Every answer is one whole valid line, and none is older
//! than its schedule allows.
//!
//! The age of an answer can be told because the source is a counter, and it is known until when at the
//! latest each of its values could be polled: when the next one had taken its place.

use agentcheck_common::{BootTime, Reply};
use agentcheck_tests::address::Block;
use agentcheck_tests::binaries;
use agentcheck_tests::collector::{Collector, Plan};
use agentcheck_tests::prober::{Prober, Sample};
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::responder::{Loop, arguments};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use agentcheck_tests::wire::{End, Heard, probe};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KILLS: u32 = 200;

/// How long a reply is good: the least that the configuration takes for this source.
const FRESH_FOR: Duration = Duration::from_millis(300);

/// The counter at which the weight would be nothing.
const MOST: u64 = 10_000;

/// Between two probes of one prober, so that the four leave the machine to the collector.
const PAUSE: Duration = Duration::from_millis(4);

#[test]
fn two_hundred_kills_under_four_probers() {
    let seed = seed();
    println!("seed {seed}: AGENTCHECK_SEED={seed} kills at the same moments again");
    let mut random = Random(seed);
    let scratch = Scratch::new("kills");
    let block = Block::claim();
    let states = StateDirectory::at(scratch.directory("state"));
    let counter = Counter::start(&scratch.file("counter"));
    let configuration = scratch.write("agentcheck.toml", configuration(&counter.file));

    let mut collector = Collector::start(&scratch, "collector", &configuration, &states);
    collector.wait_for_plan(&states, "tick", |_| true);
    let agent = block.agent();
    let _responder = Loop::start(&scratch, &states, &["--ask"], &[agent]);
    let loops = (0..2).map(|_| Prober::start(PAUSE, move || probe(agent, b"tick\n")));
    let one_shots = (0..2).map(|_| {
        let states = states.clone();
        Prober::start(PAUSE, move || one_shot(&states))
    });
    let mut probers: Vec<Prober> = loops.chain(one_shots).collect();

    let begun = Instant::now();
    let mut published = 0;
    for round in 0..KILLS {
        let started = now();
        // Every other one is killed at some moment after its first word; the others perhaps before it,
        // and before it has the lock or the signals.
        if round % 2 == 0 {
            collector.wait_for_plan(&states, "tick", |plan| plan.from >= started);
        }
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        collector.process().kill();
        published += u32::from(Plan::read(&states, "tick").is_ok_and(|plan| plan.from >= started));
        if round % 20 == 19 {
            wait_until("the last reply to be stale", || {
                let heard = probe(agent, b"tick\n").expect("the responder listens");
                heard.text().ends_with(" # stale\n")
            });
            for prober in &mut probers {
                prober.wait_for_answers(1);
            }
        }
        collector = Collector::start(&scratch, "collector", &configuration, &states);
    }
    println!(
        "{KILLS} kills in {:.1} s, {published} of those killed had written",
        begun.elapsed().as_secs_f64()
    );
    // And as if nothing had been.
    let after = now();
    collector.wait_for_plan(&states, "tick", |plan| plan.from >= after);

    let written = counter.stop();
    for (index, prober) in probers.into_iter().enumerate() {
        let samples = prober.samples();
        let (fresh, stale) = judge(&samples, &written);
        println!("prober {index}: {fresh} fresh answers, {stale} stale ones, none too old");
        assert!(fresh > 0 && stale > 0, "prober {index} saw too little");
    }
    assert_eq!(
        unknown_files(states.path()),
        BTreeSet::new(),
        "kills leave files behind"
    );
}

fn configuration(counter: &Path) -> String {
    format!(
        r#"
[source.tick.file]
path = "{}"
format = "number"
every = "100ms"
timeout = "200ms"

[service.tick]
weight = "headroom(tick.value, {MOST})"
fresh_for = "{}ms"
"#,
        counter.display(),
        FRESH_FOR.as_millis()
    )
}

/// Holds every answer against what was to be said then, and counts the fresh and the stale ones.
fn judge(samples: &[Sample], written: &[BootTime]) -> (usize, usize) {
    let (mut fresh, mut stale) = (0, 0);
    let mut last_tick = 0;
    let mut last_percent = 100;
    for sample in samples {
        let reply = Reply::parse(sample.line.as_bytes()).expect("the prober has looked");
        let percent = reply.percent.expect("a weight in every line").get();
        assert!(percent <= last_percent, "back in time: {sample:?}");
        last_percent = percent;
        let why = reply.description.as_str();
        if why == "stale" {
            stale += 1;
        } else if let Some(tick) = why.strip_prefix("tick=") {
            fresh += 1;
            let tick: u64 = tick.parse().unwrap_or_else(|_| panic!("{sample:?}"));
            let expected = 100 - (100 * tick).div_ceil(MOST);
            assert_eq!(u64::from(percent), expected, "{sample:?}");
            assert!(tick >= last_tick, "back in time: {sample:?}");
            last_tick = tick;
            // The poll was sent before the next value was there. Where there is no next one, the
            // counter has only just got so far.
            let next = usize::try_from(tick + 1).unwrap();
            if let Some(replaced) = written.get(next) {
                let until = replaced.after(FRESH_FOR);
                assert!(
                    sample.asked < until,
                    "too old, good until {until}: {sample:?}"
                );
            }
        } else {
            // A poll that a busy machine did not let finish in time, under a collector that lives.
            let kept = ["kept: tick timeout", "kept: tick overdue"];
            assert!(kept.contains(&why), "{sample:?}");
        }
    }
    (fresh, stale)
}

/// What is in the state directory and has no business there.
fn unknown_files(directory: &Path) -> BTreeSet<String> {
    // A temporary file of one that was killed half-way is taken by the next one.
    let known = [
        "tick.state",
        ".tick.state.new",
        "status.json",
        ".status.json.new",
        ".collector.lock",
    ];
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}

/// Starts the responder for one probe, on a socket, as a super-server does.
fn one_shot(states: &StateDirectory) -> std::io::Result<Heard> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(binaries::responder())
        .args(arguments(states, &["tick"]))
        .stdin(OwnedFd::from(theirs.try_clone()?))
        .stdout(OwnedFd::from(theirs))
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes)?;
    // It reads until we close, and then ends.
    drop(ours);
    let status = child.wait()?;
    if !status.success() {
        return Err(std::io::Error::other(format!("it ended with {status}")));
    }
    Ok(Heard {
        bytes,
        end: End::Eof,
    })
}

/// A file that holds 1, 2, 3 and so on, and when each of these was there.
struct Counter {
    file: std::path::PathBuf,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
    written: Arc<Mutex<Vec<BootTime>>>,
}

impl Counter {
    fn start(file: &Path) -> Self {
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
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut count = 1;
            while !told.load(Ordering::SeqCst) {
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

    /// When each value was there at the latest; the index is the value.
    fn stop(self) -> Vec<BootTime> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the counter counts");
        let written = self.written.lock().unwrap();
        written.clone()
    }
}

fn seed() -> u64 {
    let chosen = std::env::var("AGENTCHECK_SEED");
    chosen.map_or_else(
        |_| now().0 | 1,
        |seed| seed.parse().expect("AGENTCHECK_SEED is a number"),
    )
}

/// Marsaglia's xorshift: random enough for moments, and the same again for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
