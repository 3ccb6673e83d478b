//! `agentcheck probe` against agents that answer, close, hang and send byte by byte.

use agentcheck_tests::snapshot::{self, str};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

const AGENTCHECK: &str = env!("CARGO_BIN_EXE_agentcheck");

/// An agent that does this with every connection, until the test process ends.
fn agent(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    address
}

fn replies(line: &'static str) -> String {
    agent(move |mut stream| {
        // The client may have closed.
        let _ = stream.write_all(line.as_bytes());
    })
}

fn probe(arguments: &[&str]) -> Output {
    let mut command = Command::new(AGENTCHECK);
    command.arg("probe").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[test]
fn probe_of_one_agent_describes_each_word_of_its_line() {
    let address = replies("up 73% # app.rps=1890\n");
    let output = probe(&[&address, "web"]);
    assert_eq!(output.status.code(), Some(0));
    snapshot::check(
        &text(&output).replace("time     ", "time     in "),
        &[("[AGENT]", address)],
        str![[r#"
agent    [AGENT], agent-send "web\n"
reply    up 73% # app.rps=1890
time     in [TIME]
word     up: up, if HAProxy's own health check agrees
word     73%: 73% of the weight on the server's line
text     # app.rps=1890: a description
changes  weight 73% (of a configured 100: 73, of 1: 0), then operational state up
status   L7OK, "via agent : up (app.rps=1890)"
note     up: HAProxy 2.2-dev7 to 2.2.10, 2.3 to 2.3.6, up to 2.4-dev11: an agent's up overrides failed health checks (#1176)
note     weight: HAProxy rounds down; with the default weight of 1 everything below 100% is no traffic, so configure weight 100
note     weight: a static algorithm (static-rr, map-based hashes) applies only 0% and 100%

"#]],
    );
}

#[test]
fn several_agents_give_a_table_and_none_hangs_the_command() {
    let up = replies("up 73%\n");
    let closes = agent(drop);
    let hangs = agent(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(3600));
            drop(stream);
        });
    });
    let trickles = agent(|mut stream| {
        thread::spawn(move || {
            while stream.write_all(b"u").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
    });
    let floods = agent(|mut stream| {
        thread::spawn(move || while stream.write_all(&[b'u'; 4096]).is_ok() {});
    });
    let output = probe(&[
        &up,
        &closes,
        &hangs,
        &trickles,
        &floods,
        "127.0.0.1:1",
        "web",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output);
    let row = |address: &str| {
        let line = printed.lines().find(|line| line.starts_with(address));
        line.unwrap_or_else(|| panic!("{address} in\n{printed}"))
            .to_owned()
    };
    assert!(row(&up).contains("  in, weight 73 "), "{printed}");
    assert!(
        row(&closes).ends_with("closed without a reply"),
        "{printed}"
    );
    assert!(
        row(&hangs).ends_with("timeout without a reply"),
        "{printed}"
    );
    assert!(
        row(&trickles).contains("timeout without a line end: uu"),
        "{printed}"
    );
    assert!(row(&floods).contains("without a line end: uu"), "{printed}");
    assert!(row("127.0.0.1:1").contains("no connection: "), "{printed}");
}

#[test]
fn exit_forms_have_their_status() {
    let (up, down, no_op) = (
        replies("up 73%\n"),
        replies("down\n"),
        replies("no-state:web\n"),
    );
    for (address, form, status) in [
        (&up, "plain", 0),
        (&down, "plain", 1),
        (&up, "keepalived", 75),
        (&down, "keepalived", 1),
        (&no_op, "keepalived", 0),
        (&up, "nagios", 0),
        (&down, "nagios", 2),
        (&no_op, "nagios", 3),
    ] {
        let output = probe(&[address, "--exit", form]);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{form}: {}",
            text(&output)
        );
    }
    let line = text(&probe(&[&up, &down, "--exit", "nagios"]));
    assert!(
        line.starts_with("AGENTCHECK CRITICAL: ") && line.contains("weight'=73;;;0"),
        "{line}"
    );
    assert_eq!(probe(&["--exit", "nagios"]).status.code(), Some(3));
    assert_eq!(probe(&[]).status.code(), Some(2));
    for wrong in [
        &["web"][..],
        &["a:1", "web", "api"],
        &["a:1", "b:1", "--exit", "plain"],
        &["a:1", "../x"],
    ] {
        assert_eq!(probe(wrong).status.code(), Some(1), "{wrong:?}");
    }
}
