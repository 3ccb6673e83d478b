//! The collector is killed a thousand times at random moments while ten probers read, half of them through an
//! accept loop, half by a process for each probe. Every reply is one whole valid line, and none is older than its
//! schedule allows. A real `HAProxy` probes too: no server leaves the farm, and at the end each has its weight.
//!
//! Five collectors are killed at the same time, each in a directory of its own, which takes half a minute.

use agentcheck_tests::address::Block;
use agentcheck_tests::binaries;
use agentcheck_tests::collector::{Collector, Plan};
use agentcheck_tests::counter_source::{Counter, Judged, MOST, configuration, judge};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::{wait_for, wait_until};
use agentcheck_tests::raw_probe::{End, Received, probe};
use agentcheck_tests::responder::arguments;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Collectors at a time.
const LANES: usize = 5;

/// How often each is killed.
const KILLS: u32 = 200;

/// How long a reply is good: the least that the configuration takes for this source.
const FRESH_FOR: Duration = Duration::from_millis(300);

/// Between two probes of one prober, so that they leave the machine to the collectors.
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn every_reply_is_whole_and_in_time_over_a_thousand_kills() {
    let seed = seed();
    println!("seed {seed}: AGENTCHECK_SEED={seed} kills at the same moments again");
    let begun = Instant::now();
    let scratch = Scratch::new("kills");
    let block = Block::claim();
    let agents: Vec<SocketAddr> = (0..LANES).map(|_| block.agent()).collect();
    let servers = agents.iter().enumerate().map(|(lane, agent)| {
        let mut server = Server::new(&server_of(lane), block.address(8081), *agent);
        server.agent_inter = 100;
        server.sending("tick\\n")
    });
    let haproxy = Haproxy::start(&scratch, &[Backend::new("f", servers.collect())]);
    let over = AtomicBool::new(false);
    let (mut published, mut judged) = (0, Judged::default());
    let checks = std::thread::scope(|threads| {
        let watch = threads.spawn(|| watch(&haproxy, &over));
        let lanes: Vec<_> = agents
            .iter()
            .enumerate()
            .map(|(lane, agent)| {
                let haproxy = &haproxy;
                threads.spawn(move || kill_and_start(lane, seed, *agent, haproxy))
            })
            .collect();
        let lanes: Vec<_> = lanes.into_iter().map(|lane| lane.join()).collect();
        over.store(true, Ordering::SeqCst);
        for lane in lanes {
            let (wrote, seen) = lane.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            published += wrote;
            judged.fresh += seen.fresh;
            judged.stale += seen.stale;
            judged.kept += seen.kept;
        }
        let checks = watch.join();
        checks.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert_eq!(changes_of_state(&haproxy), Vec::<String>::new());
    // HAProxy logs each change of a server's state.
    haproxy.run("set server f/tick0 state drain");
    wait_until("a drain in HAProxy's log", || {
        !changes_of_state(&haproxy).is_empty()
    });
    println!(
        "attack: HAProxy: {checks} checks of its {LANES} servers, each in with at least half of its weight; no \
         line of its log differs"
    );
    println!(
        "attack: {} kills in {:.1} s, {published} of those killed had written; {judged:?}, none torn, none too old",
        agents.len() * KILLS as usize,
        begun.elapsed().as_secs_f64()
    );
}

/// How many of those that were killed had written, and what was answered.
fn kill_and_start(lane: usize, seed: u64, agent: SocketAddr, haproxy: &Haproxy) -> (u32, Judged) {
    let apart = (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = Random(seed.wrapping_add(apart) | 1);
    let mut scene = Scene::new(&format!("kills{lane}"));
    scene.agent = agent;
    let counter = Counter::start(&scene.scratch.file("counter"));
    scene.configure(&configuration(counter.file(), FRESH_FOR));
    scene.start();
    scene.wait_for_reply("tick", "");
    scene.respond(&["--name-from-client"]);
    let states = scene.states.clone();
    let one_shots = states.clone();
    let mut probers = [
        Prober::start(PAUSE, move || probe(agent, b"tick\n")),
        Prober::start(PAUSE, move || one_shot(&one_shots)),
    ];

    let mut published = 0;
    for round in 0..KILLS {
        let started = now();
        // Every other one is killed at some moment after its first word; the others perhaps before it,
        // and before it has the lock or the signals.
        if round % 2 == 0 {
            scene.wait_for_plan("tick", |plan| plan.from >= started);
        }
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        scene.kill();
        published += u32::from(Plan::read(&states, "tick").is_ok_and(|plan| plan.from >= started));
        if round % 20 == 19 {
            wait_until("the last reply to be stale", || {
                let received = probe(agent, b"tick\n").expect("the responder listens");
                received.text().ends_with(" # stale\n")
            });
            for prober in &mut probers {
                prober.wait_for_answers(1);
            }
        }
        scene.start();
    }
    // And as if nothing had been.
    let after = now();
    let last = scene.wait_for_plan("tick", |plan| {
        plan.from >= after && tick(&plan.fresh).is_some()
    });
    wait_for_log(scene.collector(), published + 1, &states);
    let printed = tick(&last.fresh).expect("a fresh reply");
    haproxy.wait_for_server("f", &server_of(lane), "the weight of the reply", |seen| {
        tick(&seen.agent_text).is_some_and(|tick| {
            tick >= printed && u64::from(seen.weight) == 100 - (100 * tick).div_ceil(MOST)
        })
    });

    let written = counter.stop();
    let mut all = Judged::default();
    for (prober, way) in probers.into_iter().zip(["loop", "one-shots"]) {
        let judged = judge(&prober.samples(), &written, FRESH_FOR);
        println!("collector {lane}, {way}: {judged:?}");
        assert!(judged.fresh > 0 && judged.stale > 0, "{way} saw too little");
        all.fresh += judged.fresh;
        all.stale += judged.stale;
        all.kept += judged.kept;
    }
    assert_eq!(
        unknown_files(states.path()),
        BTreeSet::new(),
        "kills leave files behind"
    );
    (published, all)
}

fn server_of(lane: usize) -> String {
    format!("tick{lane}")
}

/// The value of the counter behind a fresh reply, from its description.
fn tick(reply: &str) -> Option<u64> {
    let (_, tick) = reply.rsplit_once("tick=")?;
    // `HAProxy` shows a description in brackets.
    tick.trim_end_matches(')').parse().ok()
}

/// Reads all servers until `over`. Each is in, with the share that its collector gives, which falls by one in twenty
/// seconds. Returns the number of reads.
fn watch(haproxy: &Haproxy, over: &AtomicBool) -> u64 {
    let mut checks = 0;
    while !over.load(Ordering::SeqCst) {
        for seen in haproxy.servers() {
            let is_in = seen.operational == 2 && seen.administrative == 0;
            assert!(is_in && (50..=100).contains(&seen.weight), "{seen:?}");
        }
        checks += 1;
        // Several times between two checks of an agent.
        std::thread::sleep(Duration::from_millis(30));
    }
    checks
}

/// The lines of `HAProxy`'s log about servers that go down, into maintenance or into a drain, or come back.
fn changes_of_state(haproxy: &Haproxy) -> Vec<String> {
    let log = haproxy.log();
    log.lines()
        .filter(|line| line.starts_with("Server f/"))
        .map(str::to_owned)
        .collect()
}

/// Waits until the log has the start of each collector that wrote, and the first lines of the last one.
fn wait_for_log(collector: &mut Collector, starts: u32, states: &StateDirectory) {
    let start = format!(
        "collecting: 1 source, 1 service, into {}\n",
        states.path().display()
    );
    wait_for("the starts in the log", || {
        let log = collector.process().log();
        let (_, after) = log.rsplit_once(&start).ok_or("no start")?;
        let count = log.matches(&start).count();
        if count >= starts as usize && after.contains("tick: up ") {
            Ok(())
        } else {
            Err(format!("{count} starts of {starts}, and then {after:?}"))
        }
    });
}

/// The files in the state directory that do not belong there.
fn unknown_files(directory: &Path) -> BTreeSet<String> {
    // A temporary file of one that was killed half-way is taken by the next one.
    let known = [
        "tick.state",
        ".tick.state.new",
        "status.json",
        ".status.json.new",
        ".collector.lock",
        ".collector.sock",
        ".collector.sock.new",
        ".collector.pid",
        "..collector.pid.new",
    ];
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}

/// Starts the responder for one probe, on a socket, as a super-server does.
fn one_shot(states: &StateDirectory) -> std::io::Result<Received> {
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
    Ok(Received {
        bytes,
        end: End::Eof,
    })
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
