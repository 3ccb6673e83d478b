//! The responder under every launcher, each the real program. With every kind of socket or pipe, the client gets one
//! line, the end, and nothing else.

mod plain;
mod units;

use agentcheck_tests::address::Block;
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::launcher::{Launched, Launcher};
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::raw_probe::{Received, probe, probe_and_half_close};
use agentcheck_tests::responder::{Loop, arguments};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::net::SocketAddr;

const WEB: &str = "up 73% # rps=1890";
const API: &str = "down 100% # disk full";

/// State files of two services.
fn states(scratch: &Scratch) -> StateDirectory {
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", WEB);
    states.set_reply("api", API);
    states
}

/// Probes an agent that answers for `web` alone, and returns the number of probes. Some clients close their sending
/// side, unless the launcher does not support that.
fn answers_for_web(address: SocketAddr, half_close: bool) -> usize {
    let sent: [&[u8]; 4] = [b"", b"web\n", b"api\n", &[b'x'; 14_000]];
    for bytes in sent {
        let received = probe(address, bytes).unwrap();
        assert_eq!(received, Received::line(WEB), "{}", received.text());
        if half_close {
            let received = probe_and_half_close(address, bytes).unwrap();
            assert_eq!(received, Received::line(WEB), "{}", received.text());
        }
    }
    // Many balancers at once.
    std::thread::scope(|scope| {
        let probes = sent.map(|bytes| scope.spawn(move || probe(address, bytes).unwrap()));
        for received in probes {
            let received = received.join().unwrap();
            assert_eq!(received, Received::line(WEB), "{}", received.text());
        }
    });
    (2 + usize::from(half_close)) * sent.len()
}

/// Probes an agent that answers for the named service, and returns the number of probes.
fn answers_what_is_asked(address: SocketAddr, half_close: bool) -> usize {
    let cases: [(&[u8], &str); 7] = [
        (b"web\n", WEB),
        (b"web\r\n", WEB),
        (b"api\n", API),
        (b"nope\n", "unknown:nope"),
        (b"../web\n", "bad-name"),
        (b"web", "no-newline:web"),
        (b"", "no-name"),
    ];
    for (sent, line) in cases {
        let received = probe(address, sent).unwrap();
        let sent = sent.escape_ascii();
        assert_eq!(
            received,
            Received::line(line),
            "{sent}: {}",
            received.text()
        );
    }
    if half_close {
        // A client that closes its sending side after the name has sent the whole name.
        let received = probe_and_half_close(address, b"web").unwrap();
        assert_eq!(received, Received::line(WEB), "{}", received.text());
    }
    cases.len() + usize::from(half_close)
}

fn check(launcher: Launcher) {
    let scratch = Scratch::new(&format!("{launcher:?}").to_lowercase());
    let block = Block::claim();
    let states = states(&scratch);

    let named = block.agent();
    let launched = launcher.start(&scratch, named, &arguments(&states, &["web"]));
    let probes = answers_for_web(named, launcher.takes_a_half_close());
    moves_haproxy(&scratch, &block, named);
    if let Some(sign) = launcher.sign_of_success() {
        let wanted = if launcher.hands_over_the_listener() {
            0
        } else {
            probes
        };
        launched.process.wait_for_lines(wanted, sign);
    }
    drop(launched);

    let asked = block.agent();
    let launched = launcher.start(
        &scratch,
        asked,
        &arguments(&states, &["--name-from-client"]),
    );
    answers_what_is_asked(asked, launcher.takes_a_half_close());
    drop(launched);

    if launcher.hands_over_the_listener() {
        ends_when_idle(launcher, &scratch, &states, block.agent());
    }
    println!("{launcher:?}: {probes} probes and HAProxy");
}

/// The real `HAProxy` takes the weight from it.
fn moves_haproxy(scratch: &Scratch, block: &Block, agent: SocketAddr) {
    let server = Server::new("web", block.address(8081), agent).sending("web\\n");
    let haproxy = Haproxy::start(scratch, &[Backend::new("b", vec![server])]);
    haproxy.wait_for_server("b", "web", "weight 73", |seen| {
        seen.weight == 73 && seen.agent_status == "L7OK" && seen.operational == 2
    });
}

/// An idle loop that a launcher started ends with status 0, and the next probe gets another loop.
fn ends_when_idle(
    launcher: Launcher,
    scratch: &Scratch,
    states: &StateDirectory,
    address: SocketAddr,
) {
    let arguments = arguments(states, &["web", "--idle", "200ms"]);
    let mut launched = launcher.start(scratch, address, &arguments);
    let received = || probe(address, b"").unwrap();
    assert_eq!(received(), Received::line(WEB));
    if launcher.is_replaced() {
        assert!(launched.process.wait_for_exit().success());
        return;
    }
    let Launched { process } = &launched;
    for _ in 0..3 {
        wait_until("the idle loop to end", || process.children().is_empty());
        assert_eq!(received(), Received::line(WEB));
    }
    if let Some(sign) = launcher.sign_of_success() {
        process.wait_for_lines(3, sign);
    }
}

#[test]
fn xinetd_serves_every_client() {
    check(Launcher::Xinetd);
}

#[test]
fn xinetd_wait_serves_every_client() {
    check(Launcher::XinetdWait);
}

#[test]
fn inetd_serves_every_client() {
    check(Launcher::Inetd);
}

#[test]
fn inetd_wait_serves_every_client() {
    check(Launcher::InetdWait);
}

#[test]
fn tcpserver_serves_every_client() {
    check(Launcher::Tcpserver);
}

#[test]
fn tcpsvd_serves_every_client() {
    check(Launcher::Tcpsvd);
}

#[test]
fn mini_inetd_serves_every_client() {
    check(Launcher::MiniInetd);
}

#[test]
fn socat_exec_serves_every_client() {
    check(Launcher::SocatExec);
}

#[test]
fn socat_exec_nofork_serves_every_client() {
    check(Launcher::SocatNofork);
}

#[test]
fn ncat_serves_every_client() {
    check(Launcher::Ncat);
}

#[test]
fn systemd_socket_activate_accept_inetd_serves_every_client() {
    check(Launcher::ActivateAcceptInetd);
}

#[test]
fn systemd_socket_activate_accept_serves_every_client() {
    check(Launcher::ActivateAccept);
}

#[test]
fn systemd_socket_activate_inetd_serves_every_client() {
    check(Launcher::ActivateInetd);
}

#[test]
fn systemd_socket_activate_serves_every_client() {
    check(Launcher::Activate);
}

#[test]
fn accept_loop_serves_every_client() {
    let scratch = Scratch::new("listen");
    let block = Block::claim();
    let states = states(&scratch);
    let addresses = [block.agent(), block.agent()];
    let mut named = Loop::start(&scratch, &states, &["web"], &addresses);
    let probes: usize = addresses
        .into_iter()
        .map(|address| answers_for_web(address, true))
        .sum();
    moves_haproxy(&scratch, &block, addresses[0]);
    // A service manager's way to end it.
    named.process().signal(rustix::process::Signal::TERM);
    assert!(named.process().wait_for_exit().success());

    let address = block.agent();
    let asked = Loop::start(&scratch, &states, &["--name-from-client"], &[address]);
    answers_what_is_asked(address, true);
    drop(asked);
    println!("--listen: {probes} probes and HAProxy");
}
