//! F01 to F08: agents that fail, and the responder's connection in detail.

use agentcheck_tests::address::Block;
use agentcheck_tests::agent::{Agent, Answer, Diagnostics};
use agentcheck_tests::application::Application;
use agentcheck_tests::conformance::expected::{Expected, down, running};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server, ServerState};
use agentcheck_tests::listener::Listener;
use agentcheck_tests::processes::{Running, program, wait_for_growth, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::responder::{Loop, arguments, one_shot};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, boot_id, now};
use agentcheck_tests::{address, binaries};
use rustix::process::Signal;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

/// What all of these need.
struct Room {
    // Dropped in this order: the address last, when no process uses it any more.
    states: StateDirectory,
    application: Application,
    scratch: Scratch,
    block: Block,
}

impl Room {
    fn new(name: &str) -> Self {
        let block = Block::claim();
        let scratch = Scratch::new(name);
        Self {
            states: StateDirectory::at(scratch.directory("state")),
            application: Application::start(block.address(8081), 0),
            scratch,
            block,
        }
    }

    /// A server asked by `HAProxy` whose service is called like it.
    fn server(&self, name: &str, agent: std::net::SocketAddr) -> Server {
        Server::new(name, self.application.address(), agent).sending(&format!("{name}\\n"))
    }

    fn haproxy(&self, servers: Vec<Server>) -> Haproxy {
        Haproxy::start(&self.scratch, &[Backend::new("f", servers)])
    }
}

fn wait(haproxy: &Haproxy, server: &str, what: &str, expected: &Expected) {
    haproxy.wait_for_server("f", server, what, |seen| {
        !seen.agent_asked && expected.differences(seen).is_empty()
    });
}

#[test]
fn f01_f02_dead_or_hung_responder_keeps_the_state() {
    let room = Room::new("ended");
    let agent = room.block.agent();
    let pacemaker = Agent::start(room.block.agent(), Answer::Bytes(b"up\n".to_vec()));
    room.states.set_reply("failed", "down 100% # reason");
    room.states.set_reply("half", "up 50%");
    let mut responder = Loop::start(
        &room.scratch,
        &room.states,
        &["--name-from-client"],
        &[agent],
    );
    let mut backend = Backend::new(
        "f",
        vec![
            room.server("failed", agent),
            room.server("half", agent),
            room.server("pacemaker", pacemaker.address()),
        ],
    );
    // The deadline of a check is agent-inter here, so that a hang is seen soon. It is so long that a
    // busy machine keeps it.
    backend.lines.retain(|line| !line.contains("timeout check"));
    for server in &mut backend.servers {
        server.agent_inter = 1_000;
    }
    let haproxy = Haproxy::start(&room.scratch, &[backend]);
    let all = |what: &str, agent_status: &[&'static str]| {
        for _ in 0..2 {
            wait(&haproxy, "failed", what, &down(100).agent(agent_status));
            wait(&haproxy, "half", what, &running(50).agent(agent_status));
            pacemaker.wait_for_exchanges(3);
        }
    };
    wait(&haproxy, "failed", "down", &down(100).agent(&["L7STS"]));
    wait(&haproxy, "half", "50%", &running(50).agent(&["L7OK"]));

    responder.process().signal(Signal::STOP);
    all("F02, kept while the responder hangs", &["L7TOUT"]);
    responder.process().kill();
    all("F01, kept after the responder has ended", &["L4CON"]);

    room.states.set_reply("failed", "up ready 100%");
    room.states.set_reply("half", "up ready 100%");
    let responder = Loop::start(
        &room.scratch,
        &room.states,
        &["--name-from-client"],
        &[agent],
    );
    let full = running(100).agent(&["L7OK"]);
    wait(&haproxy, "failed", "recovery", &full);
    wait(&haproxy, "half", "recovery", &full);
    drop(responder);
    println!("F01 F02");
}

/// Each reply has another percentage. `HAProxy` must have applied it when the next exchange begins.
#[test]
fn f03_no_reply_is_lost_for_any_agent_send() {
    const SERVERS: usize = 10;
    /// One more than the number of checked results.
    const EXCHANGES: u64 = 101;
    let room = Room::new("lost");
    let haproxy: Arc<OnceLock<Haproxy>> = Arc::default();
    let outcomes: Vec<Arc<Mutex<Outcome>>> = (0..SERVERS).map(|_| Arc::default()).collect();
    let mut servers = Vec::new();
    let mut doors = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let name = format!("s{index}");
        let address = room.block.agent();
        let (states, haproxy) = (room.states.clone(), Arc::clone(&haproxy));
        let (outcome, service) = (Arc::clone(outcome), name.clone());
        doors.push(Listener::open(address, move |stream| {
            let mut outcome = outcome.lock().unwrap();
            let seen = haproxy.wait().server("f", &service);
            outcome.check(&seen);
            let percent = 1 + u16::try_from(outcome.asked % 99).unwrap();
            states.set_reply(&service, &format!("up {percent}%"));
            if let Err(fault) = one_shot(&states, &[&service]).serve(stream) {
                outcome.wrong.push(fault);
            }
            outcome.printed = Some(percent);
        }));
        // The shorter one is a name's shortest form, the longer one fills the socket's first segments.
        let sent = if index % 2 == 0 { 2 } else { 14_000 };
        let text = format!("{}\\n", "x".repeat(sent - 1));
        let mut server = Server::new(&name, room.application.address(), address).sending(&text);
        server.agent_inter = 10;
        servers.push(server);
    }
    let haproxy = {
        let started = room.haproxy(servers);
        assert!(haproxy.set(started).is_ok(), "it is set once");
        haproxy
    };
    wait_for_growth("a hundred exchanges with each server", EXCHANGES, || {
        let asked = outcomes.iter().map(|outcome| outcome.lock().unwrap().asked);
        asked.min().unwrap_or_default()
    });
    drop(doors);
    drop(haproxy);
    let mut checked = 0;
    for outcome in outcomes {
        let outcome = outcome.lock().unwrap();
        assert_eq!(outcome.wrong, Vec::<String>::new());
        checked += outcome.checked;
    }
    println!("F03: {checked} replies, all of them taken");
    assert!(checked >= 1_000);
}

/// What became of the replies to one server.
#[derive(Debug, Default)]
struct Outcome {
    asked: u64,
    checked: u32,
    printed: Option<u16>,
    wrong: Vec<String>,
}

impl Outcome {
    /// `HAProxy` asks again, and the server has this weight now.
    fn check(&mut self, seen: &ServerState) {
        self.asked += 1;
        if let Some(printed) = self.printed.take() {
            self.checked += 1;
            if seen.weight != printed || !seen.agent_ended("L7OK") {
                self.wrong
                    .push(format!("sent {printed}%, and then: {seen:?}"));
            }
        }
    }
}

#[test]
fn f04_one_write_shutdown_reads_and_exit_0() {
    let room = Room::new("strace");
    room.states.set_reply("traced", "up 73% # rps=1890");
    let trace = room.scratch.file("trace");
    let mut one_shot = one_shot(&room.states, &["traced"]);
    let mut traced = vec!["-o".to_owned(), trace.to_str().unwrap().to_owned()];
    traced.push(one_shot.program.to_str().unwrap().to_owned());
    traced.append(&mut one_shot.arguments);
    one_shot.arguments = traced;
    one_shot.program = program("strace", "strace");
    one_shot.diagnostics = Diagnostics::File(room.scratch.file("strace.log"));
    let agent = Agent::start(room.block.agent(), Answer::Program(one_shot));
    let haproxy = room.haproxy(vec![room.server("traced", agent.address())]);
    wait(&haproxy, "traced", "73%", &running(73).agent(&["L7OK"]));
    drop(haproxy);
    drop(agent);
    let trace = std::fs::read_to_string(trace).unwrap();
    one_exchange(&trace);
    let calls = calls(&trace);
    let shutdown = calls.iter().position(|call| call.starts_with("shutdown"));
    println!(
        "F04: {} system calls after exec until the reply is out and the sending side shut, {} in all",
        shutdown.unwrap() + 1,
        calls.len()
    );
}

/// The system calls of a trace that come after `execve`.
fn calls(trace: &str) -> Vec<&str> {
    let lines = trace
        .lines()
        .skip_while(|line| !line.starts_with("execve("));
    let calls = lines.skip(1).filter(|line| line.contains('('));
    calls.collect()
}

fn one_exchange(trace: &str) {
    let calls = calls(trace);
    let at = |names: &[&str]| -> Vec<usize> {
        let positions = calls.iter().enumerate().filter(|(_, line)| {
            let name = line.split('(').next().unwrap_or_default();
            names.contains(&name)
        });
        positions.map(|(at, _)| at).collect()
    };
    let writes = at(&["write", "writev", "sendto", "sendmsg", "send"]);
    assert_eq!(writes.len(), 1, "one write:\n{trace}");
    assert!(
        calls[writes[0]].contains("\"up 73% # rps=1890\\n\""),
        "the whole line at once:\n{trace}"
    );
    let shutdowns = at(&["shutdown"]);
    assert!(
        shutdowns.len() == 1 && shutdowns[0] > writes[0],
        "shutdown after the write:\n{trace}"
    );
    let reads = at(&["read", "recvfrom", "recvmsg", "poll", "ppoll"]);
    assert!(
        reads.iter().any(|read| *read > shutdowns[0]),
        "the peer's bytes are read away after the shutdown:\n{trace}"
    );
    let opens = at(&["open", "openat", "openat2"]);
    for open in opens {
        let line = calls[open];
        assert!(
            line.contains("traced.state") || line.contains("boot_id") || line.contains("/state\""),
            "nothing else is opened: {line}"
        );
    }
    assert!(trace.contains("exited with 0"), "{trace}");
    // After the shutdown the peer decides how often there is something to read, or to wait for.
    assert!(
        shutdowns[0] < 12,
        "{} calls to answer:\n{trace}",
        shutdowns[0] + 1
    );
    assert!(calls.len() <= 20, "{} calls in all:\n{trace}", calls.len());
}

#[test]
fn f05_connection_carries_the_reply_and_nothing_else() {
    let room = Room::new("wire");
    let (boot, from) = (boot_id(), now());
    let other = "00000000-0000-4000-8000-000000000000";
    let far = from.0 + 3_600_000_000_000;
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("bad-state", Vec::new()),
        ("bad-state", b"rubbish\n".to_vec()),
        ("bad-state", vec![0; 4096]),
        ("bad-state", b"agentcheck 1 web\n".repeat(1_000)),
        (
            "bad-state",
            format!("agentcheck 1 web\nboot {boot}\nfrom {from}\nthen up").into(),
        ),
        (
            "other-boot",
            format!("agentcheck 1 web\nboot {other}\nfrom {from}\nthen up\n").into(),
        ),
        (
            "future",
            format!("agentcheck 1 web\nboot {boot}\nfrom {far}\nthen up\n").into(),
        ),
    ];
    let shot = one_shot(&room.states, &["web"]);
    assert!(matches!(shot.diagnostics, Diagnostics::Connection));
    let agent = Agent::start(room.block.agent(), Answer::Program(shot));
    let addresses = [room.block.agent()];
    let listening = Loop::start(&room.scratch, &room.states, &["web"], &addresses);
    let printed = |word: &str| {
        for address in [agent.address(), addresses[0]] {
            for sent in [&b""[..], b"web\n", &[b'x'; 14_000]] {
                let received = probe(address, sent).unwrap();
                assert_eq!(
                    received,
                    Received::line(&format!("{word}:web")),
                    "{address}"
                );
            }
        }
    };
    printed("no-state");
    let count = files.len();
    for (word, file) in files {
        room.states.write_file("web", &file);
        printed(word);
    }
    // The responder does not wait for a file that is not regular: a FIFO without a writer, a directory, a link.
    room.states.remove_file("web");
    let path = room.states.file("web");
    agentcheck_tests::processes::run(Command::new("mkfifo").arg(&path));
    printed("unreadable");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    printed("unreadable");
    std::fs::remove_dir(&path).unwrap();
    room.states.set_reply("other", "up");
    std::os::unix::fs::symlink(room.states.file("other"), &path).unwrap();
    printed("unreadable");
    drop(listening);
    assert_eq!(agent.faults(), Vec::<String>::new());
    println!("F05: {} bad state files, by one-shot and loop", count + 3);
}

#[test]
fn f06_health_check_and_full_reply_recover_together() {
    let mut room = Room::new("check");
    room.states.set_reply("web", "up 100%");
    let shot = one_shot(&room.states, &["web"]);
    let agent = Agent::start(room.block.agent(), Answer::Program(shot));
    let haproxy = room.haproxy(vec![room.server("web", agent.address()).checked()]);
    let up = running(100).status("UP").agent(&["L7OK"]);
    wait(&haproxy, "web", "up at first", &up);
    room.application.stop();
    haproxy.wait_for_server("f", "web", "down by its health check", |seen| {
        seen.operational == 0 && seen.status == "DOWN" && seen.administrative == 0
    });
    agent.wait_for_exchanges(3);
    if Haproxy::up_overrides_checks() {
        haproxy.wait_for_server("f", "web", "overridden by the agent (#1176)", |seen| {
            seen.operational == 2
        });
    } else {
        assert_eq!(
            haproxy.server("f", "web").operational,
            0,
            "the agent's up does not override the health check"
        );
    }
    room.application.restart();
    wait(&haproxy, "web", "up again", &up);
    agent.wait_for_exchanges(3);
    assert_eq!(haproxy.server("f", "web").operational, 2);
    println!("F06");
}

#[test]
fn f07_socket_activation_starts_one_process_per_connection() {
    let room = Room::new("activate");
    room.states.set_reply("web", "up 64%");
    let agent = room.block.agent();
    let activate = program("systemd-socket-activate", "systemd");
    let mut command = Command::new(activate);
    command
        .args(["-l", &agent.to_string(), "--accept", "--inetd"])
        .arg(binaries::responder())
        .args(arguments(&room.states, &["web"]));
    let launcher = Running::start(&room.scratch, "activate", &mut command);
    wait_until("the socket", || address::is_listening(agent));
    let haproxy = room.haproxy(vec![room.server("web", agent)]);
    wait(&haproxy, "web", "64%", &running(64).agent(&["L7OK"]));
    drop(launcher);
    println!("F07");
}

/// The operator's agent-send has no newline, and `HAProxy` does not half-close. A name without an end may be the
/// start of another name, so the responder sends no reply of a service. It sends a no-op reply before the deadline,
/// so the operator sees the fault.
#[test]
fn f08_name_without_newline_gets_a_reply_in_time() {
    let room = Room::new("newline");
    room.states.set_reply("web", "up 88%");
    let shot = one_shot(&room.states, &["--name-from-client"]);
    let one = Agent::start(room.block.agent(), Answer::Program(shot));
    let address = room.block.agent();
    let responder = Loop::start(
        &room.scratch,
        &room.states,
        &["--name-from-client"],
        &[address],
    );
    let mut backend = Backend::new(
        "f",
        vec![
            Server::new("one", room.application.address(), one.address()).sending("web\\n"),
            Server::new("loop", room.application.address(), address).sending("web\\n"),
        ],
    );
    // The deadline is agent-inter: a reply that comes after it is an L7TOUT.
    backend.lines.retain(|line| !line.contains("timeout check"));
    for server in &mut backend.servers {
        server.agent_inter = 3_000;
    }
    let haproxy = Haproxy::start(&room.scratch, &[backend]);
    for server in ["one", "loop"] {
        wait(&haproxy, server, "88%", &running(88).agent(&["L7OK"]));
        haproxy.run(&format!("set server f/{server} agent-send web"));
        let frozen = running(88).agent(&["CHECKED"]).text("no-newline:web");
        wait(&haproxy, server, "the newline missed", &frozen);
    }
    drop(responder);
    assert_eq!(one.faults(), Vec::<String>::new());
    println!("F08");
}
