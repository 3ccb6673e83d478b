//! Applications that hang, send a byte at a time, flood, redirect for ever or close half-way, by http, tcp and
//! command. Each fails with its reason. None delays the healthy one beside them, or is confused with it.

use agentcheck_tests::application::Application;
use agentcheck_tests::haproxy::{Backend, Server, ServerState};
use agentcheck_tests::listener::Listener;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scene::Scene;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// What an application does with a connection to its address.
type Answer = fn(&mut TcpStream, SocketAddr) -> std::io::Result<()>;

/// An application that does `answer` with each connection, on a thread of its own.
fn application(address: SocketAddr, answer: Answer) -> Listener {
    Listener::open(address, move |mut stream| {
        std::thread::spawn(move || {
            let _ = stream.read(&mut [0; 4096]);
            // A client that has closed the connection needs no answer.
            let _ = answer(&mut stream, address);
        });
    })
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n";

fn hangs(stream: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    stream.read(&mut [0]).map(drop)
}

fn drips(stream: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    for byte in HEAD.iter().cycle() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn floods(stream: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    stream.write_all(HEAD)?;
    stream.write_all(b"\r\n")?;
    loop {
        stream.write_all(&[b'1'; 65536])?;
    }
}

fn floods_the_head(stream: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    stream.write_all(HEAD)?;
    loop {
        stream.write_all(b"X-More: of the same\r\n")?;
    }
}

fn redirects(stream: &mut TcpStream, here: SocketAddr) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 302 Found\r\nLocation: http://{here}/again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

fn closes_half_way(stream: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    stream.write_all(HEAD)?;
    stream.write_all(b"Content-Length: 100\r\n\r\n{\"load\":")
}

fn closes_at_once(_: &mut TcpStream, _: SocketAddr) -> std::io::Result<()> {
    Ok(())
}

/// What each does, and why its poll has failed, as the log and the reply have it.
const BY_HTTP: [(&str, Answer, &str); 7] = [
    ("hangs", hangs, "timeout"),
    ("drips", drips, "timeout"),
    ("floods", floods, "too-large"),
    ("floods_the_head", floods_the_head, "malformed"),
    ("redirects", redirects, "redirect"),
    ("closes_half_way", closes_half_way, "broken"),
    ("closes_at_once", closes_at_once, "broken"),
];

const BY_COMMAND: [(&str, &str, &str); 6] = [
    ("never_ends", "exec sleep 1000", "timeout"),
    ("drips_lines", "while echo 1; do sleep 1; done", "timeout"),
    ("never_stops", "exec yes 1", "too-large"),
    ("closes_its_output", "exec >&-; sleep 1000", "timeout"),
    ("is_killed", "kill -9 $$", "signal"),
    ("fails", "echo 50; exit 3", "exit"),
];

#[test]
fn broken_applications_fail_with_their_reason_and_delay_no_other() {
    let mut scene = Scene::new("applications");
    let live = Application::start(scene.block.address(8081), 1890);
    let mut text = format!(
        "[source.live.http]\nurl = \"{}\"\nformat = \"json\"\ninterval = \"100ms\"\ntimeout = \"10s\"\n\
         [service.live]\nweight = \"headroom(live.json['msg-per-second'], 7000)\"\n",
        live.url()
    );
    let mut listeners = Vec::new();
    let mut expected = Vec::new();
    let mut service = |text: &mut String, name: &str, weight: &str, line: &str| {
        let _ = writeln!(
            text,
            "interval = \"100ms\"\ntimeout = \"1s\"\n[service.{name}]\nweight = \"{weight}\"\n\
             on_failure = \"floor\""
        );
        expected.push((name.to_owned(), line.to_owned()));
    };
    for (name, answer, why) in BY_HTTP {
        let address = scene.block.address(8081);
        listeners.push(application(address, answer));
        let _ = writeln!(
            text,
            "[source.{name}.http]\nurl = \"http://{address}/\"\nformat = \"number\""
        );
        service(
            &mut text,
            name,
            &format!("{name}.value"),
            &format!("up 1% # {name} {why}"),
        );
    }
    for (name, script, why) in BY_COMMAND {
        let _ = writeln!(
            text,
            "[source.{name}.command]\nargv = [\"/bin/sh\", \"-c\", '{script}']\nformat = \"number\""
        );
        service(
            &mut text,
            name,
            &format!("{name}.value"),
            &format!("up 1% # {name} {why}"),
        );
    }
    // A queue of connections that are never accepted: the first few fill it.
    let full = scene.block.address(8081);
    let queue = TcpListener::bind(full).unwrap();
    rustix::net::listen(&queue, 0).unwrap();
    let _waiting: Vec<_> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&full, Duration::from_millis(100)).ok())
        .collect();
    let _ = writeln!(text, "[source.full.tcp]\naddress = \"{full}\"");
    service(&mut text, "full", "full.ok ? 100 : 1", "up 1%");

    scene.configure(&text);
    scene.start();
    scene.wait_for_reply("live", "up 73% ");
    scene.respond(&["live"]);
    let agent = scene.agent;
    let server = Server::new("live", live.address(), agent);
    scene.balance(&[Backend::new("f", vec![server])]);
    let prober = Prober::start(Duration::from_millis(5), move || probe(agent, b""));

    for (name, line) in &expected {
        scene.wait_for_plan(name, |plan| plan.fresh.starts_with(line));
        let log = scene.process().log();
        let reported = log
            .lines()
            .find(|reported| reported.contains(&format!("source {name}: ")));
        println!(
            "{}",
            reported.unwrap_or_else(|| panic!("nothing of {name}: {log}"))
        );
    }
    // In each round the collector polls the live application, and the balancer gets its weight.
    for (messages, weight) in [(700, 90), (3500, 50), (1890, 73)] {
        live.wait_for_requests(10);
        live.set_load(messages, "ok");
        let own = |seen: &ServerState| seen.weight == weight;
        scene
            .haproxy()
            .wait_for_server("f", "live", "its own weight", own);
    }
    for (name, line) in &expected {
        scene.check_next_reply(name, line);
    }
    let samples = prober.samples();
    for sample in &samples {
        let own = ["up 73% ", "up 90% ", "up 50% "];
        assert!(
            own.iter().any(|own| sample.line.starts_with(own)),
            "{sample:?}"
        );
        assert!(
            !sample.line.contains("stale") && !sample.line.contains("kept"),
            "{sample:?}"
        );
    }
    println!(
        "attack: {} answers for the one that lives, beside {} that do not; none kept, none stale",
        samples.len(),
        expected.len()
    );
}
