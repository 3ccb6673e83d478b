//! A process per probe, with the optional drop-ins.

use super::{Host, PROBE_SOCKET, Tree};
use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::systemd::version;
use std::net::SocketAddr;

const WEB: &str = "up 73% # rps=1890";

fn host(tree: Tree, address: SocketAddr) -> Host {
    let listen = format!("[Socket]\nListenStream=\nListenStream={address}\n");
    tree.drop_in(PROBE_SOCKET, &listen);
    let host = tree.boot();
    host.states.set_reply("web", WEB);
    host.start(&[PROBE_SOCKET]);
    wait_until(PROBE_SOCKET, || is_listening(address));
    host
}

#[test]
fn probe_succeeds_with_the_tight_drop_in() {
    let block = Block::claim();
    let address = block.agent();
    let tree = Tree::installed("tight");
    tree.enable("agentcheck-inetd@.service.d/tight.conf");
    let host = host(tree, address);
    for _ in 0..10 {
        assert_eq!(probe(address, b"web\n").unwrap(), Received::line(WEB));
    }
    let journal = host.systemd.run(&["journalctl", "--no-pager", "-o", "cat"]);
    assert!(!journal.contains("Failed"), "{journal}");
}

/// More than the newer limit lets through in its interval, at once.
#[test]
fn poll_limit_drop_in_raises_the_limit() {
    let block = Block::claim();
    let address = block.agent();
    let tree = Tree::installed("poll-limit");
    tree.enable("agentcheck-inetd.socket.d/poll-limit.conf");
    let host = host(tree, address);
    for count in 0..200 {
        let received = probe(address, b"web\n").unwrap();
        assert_eq!(received, Received::line(WEB), "after {count}");
    }
    let interval = host.property(PROBE_SOCKET, "PollLimitIntervalUSec");
    let journal = host.systemd.run(&["journalctl", "--no-pager", "-o", "cat"]);
    let unknown = "Unknown key 'PollLimitIntervalSec'";
    if version() >= 255 {
        assert_eq!(interval, "0");
        assert!(!journal.contains(unknown), "{journal}");
    } else {
        assert_eq!(interval, "");
        assert!(journal.contains(unknown), "{journal}");
    }
}
