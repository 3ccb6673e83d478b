//! Which addresses may connect to the shipped listeners, tried in a network of their own, from allowed addresses
//! and from one that is not.

use super::{Host, LOOP_SOCKET, PROBE_SOCKET, Tree};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, run, wait_for};
use agentcheck_tests::raw_probe::{Received, receive};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

const WEB: &str = "up 73% # rps=1890";
/// This host's other address, as in the comment of the socket unit; a balancer, and one that is none.
const HOST: &str = "10.0.0.11";
const BALANCER: &str = "10.0.0.2";
const STRANGER: &str = "10.0.0.9";
const STRANGER6: &str = "fd00::9";

/// The time after which a connection counts as unanswered; the kernel sends two SYNs in that time.
const UNANSWERED: Duration = Duration::from_secs(2);

/// Probes from a given address; `None` if nothing accepts the connection.
fn ask(from: &str, to: &str) -> Option<Received> {
    let (from, to): (IpAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let family = if from.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    set_socket_timeout(&socket, Timeout::Send, Some(UNANSWERED)).unwrap();
    bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    connect(&socket, &to).ok()?;
    let mut stream = TcpStream::from(socket);
    let _ = stream.write_all(b"web\n");
    Some(receive(&mut stream))
}

/// A host of its own, with all these addresses.
fn host(test: &str) -> Host {
    let host = Tree::installed(test).boot_alone();
    for address in [HOST, BALANCER, STRANGER, STRANGER6] {
        let ip = &mut host.systemd.in_its_network("ip", "iproute2");
        run(ip.args(["address", "add", address, "dev", "lo"]));
    }
    host.states.set_reply("web", WEB);
    host
}

impl Host {
    /// The reply that `from` gets at `to`, in this host's network.
    fn reply(&self, from: &str, to: &str) -> Option<Received> {
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                self.systemd.move_into_its_network();
                ask(from, to)
            });
            asking.join().unwrap()
        })
    }

    fn lets_in(&self, from: &str, to: &str) {
        assert_eq!(
            self.reply(from, to),
            Some(Received::line(WEB)),
            "{from} to {to}"
        );
    }

    fn keeps_out(&self, from: &str, to: &str) {
        assert_eq!(self.reply(from, to), None, "{from} to {to}");
    }
}

fn the_loopback_alone_by_default(socket: &str) {
    let host = host(socket.trim_end_matches(".socket"));
    host.start(&[socket]);
    host.lets_in("127.0.0.1", "127.0.0.1:3333");
    host.lets_in("::1", "[::1]:3333");
    // It gets as far as the listener, as all of this host's addresses do, and no farther.
    host.keeps_out(STRANGER, "127.0.0.1:3333");
    host.keeps_out(STRANGER6, "[::1]:3333");

    // As the comment in the unit describes.
    let shipped = std::fs::read_to_string(binaries::workspace().join("systemd/agentcheck.socket"));
    let shipped = shipped.unwrap();
    let commented: Vec<_> = shipped
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let drop_in = commented.join("\n").replace("10.0.0.3", "10.0.0.3\n");
    assert!(
        drop_in.contains(HOST) && drop_in.contains(BALANCER),
        "{drop_in}"
    );
    let directory = format!("/etc/systemd/system/{socket}.d");
    host.systemd.run(&["mkdir", "-p", &directory]);
    let to = host.systemd.path(&format!("{directory}/balancers.conf"));
    std::fs::write(to, drop_in).unwrap();
    host.systemd.run(&["systemctl", "daemon-reload"]);
    host.systemd.run(&["systemctl", "restart", socket]);
    host.lets_in(BALANCER, &format!("{HOST}:3333"));
    host.keeps_out(STRANGER, &format!("{HOST}:3333"));
}

#[test]
fn agentcheck_socket_accepts_loopback_only() {
    the_loopback_alone_by_default(LOOP_SOCKET);
}

#[test]
fn agentcheck_inetd_socket_accepts_loopback_only() {
    the_loopback_alone_by_default(PROBE_SOCKET);
}

/// It accepts, sends nothing and closes.
#[test]
fn xinetd_accepts_loopback_only() {
    let host = host("access-xinetd");
    let shipped = std::fs::read_to_string(binaries::workspace().join("xinetd/agentcheck")).unwrap();
    // Where xinetd, which is not inside, finds it; and the state files.
    let responder = host.scratch.program(&binaries::responder());
    let states = host.scratch.directory("states");
    std::fs::copy(host.states.file("web"), states.join("web.state")).unwrap();
    let service = shipped
        .replace("/usr/bin/agentcheck-responder", responder.to_str().unwrap())
        .replace(
            "= --name-from-client",
            &format!("= --name-from-client --state-dir {}", states.display()),
        );
    let configuration = host.scratch.write("xinetd.conf", service);
    let mut command = host.systemd.in_its_network("xinetd", "xinetd");
    let mut xinetd = Running::start(
        &host.scratch,
        "xinetd",
        command
            .arg("-dontfork")
            .args([Path::new("-f"), &configuration])
            .args([Path::new("-filelog"), &host.scratch.file("messages.log")])
            .args([Path::new("-pidfile"), &host.scratch.file("xinetd.pid")]),
    );
    let received = wait_for("xinetd to listen", || {
        assert!(xinetd.is_running(), "xinetd ended: {}", xinetd.log());
        host.reply("127.0.0.1", "127.0.0.1:3333")
            .ok_or("it does not")
    });
    assert_eq!(received, Received::line(WEB));
    let received = host.reply(STRANGER, "127.0.0.1:3333").unwrap();
    assert_eq!(received.text(), "");
    host.lets_in("127.0.0.1", "127.0.0.1:3333");
}
