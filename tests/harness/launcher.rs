//! Everything that starts our responder in the field, each the real program, in the foreground.
//!
//! A launcher runs as root, as in the field, and starts the responder as the user nobody where it can.

use crate::address::is_listening;
use crate::binaries;
use crate::processes::{Running, program, wait_until};
use crate::scratch::Scratch;
use crate::systemd::tool;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// A way to start a process for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// xinetd, a process per connection, from our shipped file.
    Xinetd,
    /// xinetd with `wait = yes`: the process gets the listening socket.
    XinetdWait,
    /// openbsd-inetd, a process per connection.
    Inetd,
    /// openbsd-inetd with `wait`: the process gets the listening socket.
    InetdWait,
    /// D. J. Bernstein's tcpserver.
    Tcpserver,
    /// Gerrit Pape's tcpsvd.
    Tcpsvd,
    /// mini-inetd of tcputils.
    MiniInetd,
    /// socat's EXEC: the process gets a unix socket pair.
    SocatExec,
    /// socat's EXEC with nofork: the process gets the connection.
    SocatNofork,
    /// ncat -e: the process gets pipes.
    Ncat,
    /// systemd-socket-activate --accept --inetd: the connection as standard input.
    ActivateAcceptInetd,
    /// systemd-socket-activate --accept: the connection as `LISTEN_FDS`.
    ActivateAccept,
    /// systemd-socket-activate --inetd: the listening socket as standard input.
    ActivateInetd,
    /// systemd-socket-activate: the listening socket as `LISTEN_FDS`.
    Activate,
}

impl Launcher {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Xinetd,
        Self::XinetdWait,
        Self::Inetd,
        Self::InetdWait,
        Self::Tcpserver,
        Self::Tcpsvd,
        Self::MiniInetd,
        Self::SocatExec,
        Self::SocatNofork,
        Self::Ncat,
        Self::ActivateAcceptInetd,
        Self::ActivateAccept,
        Self::ActivateInetd,
        Self::Activate,
    ];

    /// The text in the launcher's log for a process that ended with status 0, where it logs that.
    #[must_use]
    pub fn sign_of_success(self) -> Option<&'static str> {
        match self {
            Self::Xinetd | Self::XinetdWait => Some("EXIT: agentcheck status=0"),
            Self::Tcpserver => Some("status 0"),
            Self::Tcpsvd => Some("exit 0"),
            _ => None,
        }
    }

    /// Whether one process serves all connections, until it has been idle for long enough.
    #[must_use]
    pub fn hands_over_the_listener(self) -> bool {
        matches!(
            self,
            Self::XinetdWait | Self::InetdWait | Self::ActivateInetd | Self::Activate
        )
    }

    /// Whether a client that closes its sending side still gets the reply. ncat ends its program then, even after a
    /// reply. `HAProxy` never half-closes.
    #[must_use]
    pub fn takes_a_half_close(self) -> bool {
        self != Self::Ncat
    }

    /// Whether the responder's process takes the launcher's place instead of being its child.
    #[must_use]
    pub fn is_replaced(self) -> bool {
        matches!(self, Self::ActivateInetd | Self::Activate)
    }

    /// Starts the launcher on `address` for the responder with these arguments, and waits until it
    /// listens.
    ///
    /// # Panics
    /// Where it is not installed, or ends.
    #[must_use]
    pub fn start(self, scratch: &Scratch, address: SocketAddr, arguments: &[String]) -> Launched {
        let mut command = self.command(scratch, address, arguments);
        let name = format!("{self:?}");
        let mut process = Running::start(scratch, &name, &mut command);
        wait_until(format_args!("{name} to listen on {address}"), || {
            assert!(process.is_running(), "{name} ended: {}", process.log());
            is_listening(address)
        });
        Launched { process }
    }

    fn command(self, scratch: &Scratch, address: SocketAddr, arguments: &[String]) -> Command {
        let responder = responder_for_all(scratch);
        let responder = responder.to_str().expect("a path in UTF-8");
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let words = [&[responder.to_owned()], arguments].concat();
        let line = words.join(" ");
        match self {
            Self::Xinetd => xinetd(scratch, address, responder, arguments, "no"),
            Self::XinetdWait => xinetd(scratch, address, responder, arguments, "yes"),
            Self::Inetd => inetd(scratch, address, &line, "nowait.100000"),
            Self::InetdWait => inetd(scratch, address, &line, "wait"),
            Self::Tcpserver => {
                let mut command = Command::new(program("tcpserver", "ucspi-tcp"));
                command.args(["-v", "-H", "-R", "-l", "localhost", &host, &port]);
                command.args(words);
                command
            }
            Self::Tcpsvd => {
                let mut command = Command::new(program("tcpsvd", "ipsvd"));
                command.args(["-v", "-l", "localhost", &host, &port]);
                command.args(words);
                command
            }
            Self::MiniInetd => {
                let mut command = Command::new(program("mini-inetd", "tcputils"));
                // It would read its own options behind the address, too. The program comes twice: as the path and as
                // argument 0.
                command.args(["--", &address.to_string(), responder]);
                command.args(words);
                command
            }
            Self::SocatExec => socat(address, &format!("EXEC:{line}")),
            Self::SocatNofork => socat(address, &format!("EXEC:{line},nofork")),
            Self::Ncat => {
                let mut command = Command::new(program("ncat", "ncat"));
                command.args(["-k", "-l", &host, &port, "-e", &line]);
                command
            }
            Self::ActivateAcceptInetd => activate(address, &["--accept", "--inetd"], &words),
            Self::ActivateAccept => activate(address, &["--accept"], &words),
            Self::ActivateInetd => activate(address, &["--inetd"], &words),
            Self::Activate => activate(address, &[], &words),
        }
    }
}

/// A launcher that listens.
#[derive(Debug)]
pub struct Launched {
    /// Its process; its log is about its children.
    pub process: Running,
}

/// A copy of the responder that an unprivileged user can get at, wherever the target directory is.
fn responder_for_all(scratch: &Scratch) -> PathBuf {
    scratch.program(&binaries::responder())
}

/// From the file that we ship, with only those lines changed that an operator would change.
fn xinetd(
    scratch: &Scratch,
    address: SocketAddr,
    responder: &str,
    arguments: &[String],
    wait: &str,
) -> Command {
    let shipped = binaries::workspace().join("xinetd/agentcheck");
    let mut text = std::fs::read_to_string(&shipped)
        .unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
    for (key, value) in [
        ("disable", "no"),
        ("wait", wait),
        ("port", &address.port().to_string()),
        ("bind", &address.ip().to_string()),
        ("server", responder),
        ("server_args", &arguments.join(" ")),
        ("log_on_success", "PID EXIT"),
    ] {
        text = with_attribute(&text, key, Some(value));
    }
    if wait == "yes" {
        // xinetd 2.3.15 asks for the peer of the listening socket, finds none and refuses it. It repeats this at
        // once, and never starts the server.
        text = with_attribute(&text, "only_from", None);
    }
    let name = if wait == "no" { "Xinetd" } else { "XinetdWait" };
    let log = scratch.file(&format!("{name}.log"));
    // So that the log shows how each process ended.
    let defaults = format!("defaults\n{{\n\tlog_type = FILE {}\n}}\n", log.display());
    let file = scratch.write(&format!("{name}.conf"), defaults + &text);
    let mut command = Command::new(program("xinetd", "xinetd"));
    command.arg("-dontfork").arg("-filelog").arg(log);
    command.arg("-f").arg(file);
    command
        .arg("-pidfile")
        .arg(scratch.file(&format!("{name}.pid")));
    command
}

/// A service's text with another value for one attribute that it has, or without it.
fn with_attribute(text: &str, key: &str, value: Option<&str>) -> String {
    let mut found = 0;
    let mut changed = String::new();
    for line in text.lines() {
        let name = line.split('=').next().unwrap_or_default().trim();
        if name == key && line.contains('=') {
            found += 1;
            if let Some(value) = value {
                let _ = writeln!(changed, "\t{key} = {value}");
            }
        } else {
            let _ = writeln!(changed, "{line}");
        }
    }
    assert_eq!(found, 1, "the shipped xinetd file has one {key}");
    changed
}

fn inetd(scratch: &Scratch, address: SocketAddr, line: &str, wait: &str) -> Command {
    let program = binaries::target().join("test-programs/openbsd-inetd/usr/sbin/inetd");
    assert!(
        program.is_file(),
        "openbsd-inetd is not unpacked: run tests/install-deps.sh (apt-get download openbsd-inetd)"
    );
    // Here, too, argument 0 has to be given.
    let (path, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let text =
        format!("{address} stream tcp {wait} nobody {path} agentcheck-responder {arguments}\n");
    let file = scratch.write(&format!("inetd-{wait}.conf"), text);
    let mut command = Command::new(program);
    command.arg("-i").arg(file);
    command
}

fn socat(address: SocketAddr, to: &str) -> Command {
    let mut command = Command::new(program("socat", "socat"));
    command
        .arg(format!(
            "TCP-LISTEN:{},bind={},reuseaddr,fork,backlog=100",
            address.port(),
            address.ip()
        ))
        .arg(to);
    command
}

fn activate(address: SocketAddr, how: &[&str], words: &[String]) -> Command {
    let mut command = tool("systemd-socket-activate");
    command.arg("-l").arg(address.to_string()).args(how);
    command.args(words);
    command
}
