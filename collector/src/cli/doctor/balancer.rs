//! Reads a balancer's stats socket.

use super::host_facts::arguments;
use crate::setup::doctor::Finding;
use crate::setup::doctor::haproxy::http_checks::{self, HttpCheck};
use crate::setup::doctor::haproxy::tables::Balancer;
use crate::setup::doctor::haproxy::{self, ServedService};
use crate::sys::state_file::read_bounded;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait for one answer of the balancer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer, in bytes: some ten thousand servers.
const MAX_ANSWER: u64 = 16 << 20;

/// The largest configuration file of the balancer, in bytes, and how many of them are read.
const MAX_CONFIGURATION: usize = 8 << 20;
const MAX_FILES: usize = 100;

/// How many words of its command line may come before and with the name of the balancer's program.
const MAX_WRAPPER: usize = 5;

/// How often the tables are read again for servers that are in an exchange with their agent.
const ROUNDS: usize = 20;

/// The pause between these rounds.
const PAUSE: Duration = Duration::from_millis(25);

/// How often the tables are read again where a server has another weight than the reply gives.
const SETTLE_ROUNDS: usize = 3;

/// The pause between these rounds: the default agent-inter is 2 s.
const SETTLE_PAUSE: Duration = Duration::from_millis(2_500);

/// The findings about the balancer behind a socket, and the HTTP checks on the services' ports that its configuration
/// has. `services` reads the services with their current replies.
pub(super) fn examine(
    socket: &str,
    services: &dyn Fn() -> Vec<ServedService>,
) -> (Vec<Finding>, Vec<HttpCheck>) {
    let mut before = services();
    for round in 0..=SETTLE_ROUNDS {
        let balancer = match read_within_time(socket) {
            Ok(balancer) => balancer,
            Err(error) => {
                let what = format!("cannot read {socket}: {error}");
                let remedy = "check the path of the stats socket and its rights, as in haproxy.cfg: stats socket \
                              /run/haproxy/admin.sock mode 660 level operator";
                return (vec![Finding::error("haproxy", what, remedy)], Vec::new());
            }
        };
        let mut now = services();
        for (service, earlier) in now.iter_mut().zip(&before) {
            service
                .replies
                .splice(0..0, earlier.replies.iter().copied());
        }
        if round == SETTLE_ROUNDS || !haproxy::has_foreign_weight(&balancer, &now) {
            let ports: Vec<u16> = now.iter().map(|service| service.port).collect();
            let checks = http_checks::parse(&configuration(socket, &balancer));
            let checks = http_checks::on_ports(checks, &balancer, &ports, &is_local);
            return (haproxy::findings(&balancer, &now, &is_local), checks);
        }
        // HAProxy may still have the reply before.
        thread::sleep(SETTLE_PAUSE);
        before = services();
    }
    (Vec::new(), Vec::new())
}

/// The configuration files of a balancer on this host, by its command line; empty where they cannot be read.
fn configuration(socket: &str, balancer: &Balancer) -> Vec<String> {
    let Some(pid) = balancer.pid.filter(|_| socket.contains('/')) else {
        return Vec::new();
    };
    let arguments = arguments(pid);
    // A process with this number on another host is another program. A wrapper or a loader may come before its name.
    let is_haproxy = |word: &String| Path::new(word).file_name() == Some(OsStr::new("haproxy"));
    if !arguments.iter().take(MAX_WRAPPER).any(is_haproxy) {
        return Vec::new();
    }
    // -f takes one path; -- takes all that follow.
    let named = arguments.windows(2).filter_map(|pair| match pair {
        [option, path] if option == "-f" => Some(path),
        _ => None,
    });
    let after = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let mut paths = Vec::new();
    for path in named.chain(after).take(MAX_FILES) {
        let path = directory.join(path);
        let mut within: Vec<PathBuf> = match fs::read_dir(&path) {
            Ok(entries) => entries
                .take(MAX_FILES)
                .flatten()
                .map(|one| one.path())
                .collect(),
            Err(_) => vec![path.clone()],
        };
        // HAProxy reads the files of a directory by name, and only these.
        within.retain(|one| *one == path || one.extension().is_some_and(|end| end == "cfg"));
        within.sort();
        paths.extend(within);
    }
    let contents = paths
        .iter()
        .take(MAX_FILES)
        .filter_map(|path| read_bounded(path, MAX_CONFIGURATION).ok());
    contents
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

/// The tables, or the error, within twice [`PATIENCE`].
fn read_within_time(socket: &str) -> io::Result<Balancer> {
    let path = socket.to_owned();
    let (sender, result) = sync_channel(1);
    // A balancer that hangs does not accept the connection, and connecting has no timeout.
    thread::spawn(move || sender.send(read_tables(&path)));
    let result = result.recv_timeout(PATIENCE * 2);
    result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn read_tables(socket: &str) -> io::Result<Balancer> {
    let info = ask(socket, "show info")?;
    let once = || {
        let statistics = ask(socket, "show stat")?;
        let states = ask(socket, "show servers state")?;
        io::Result::Ok(Balancer::read(&info, &statistics, &states))
    };
    let mut balancer = once()?;
    for _ in 0..ROUNDS {
        if !balancer.is_in_exchange() {
            break;
        }
        thread::sleep(PAUSE);
        balancer.replace_in_exchange(&once()?);
    }
    Ok(balancer)
}

fn ask(socket: &str, command: &str) -> io::Result<String> {
    let line = format!("{command}\n");
    if socket.contains('/') {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(line.as_bytes())?;
        return read(stream);
    }
    let mut addresses = socket.to_socket_addrs()?;
    let address = addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    read(stream)
}

fn read(mut from: impl Read) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_ANSWER || Instant::now() > deadline
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer is too long",
            ));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether an address is one of this host: the kernel refuses to bind another one.
fn is_local(address: &str) -> bool {
    let address: Option<IpAddr> = address.parse().ok();
    address.is_some_and(|ip| UdpSocket::bind((ip, 0)).is_ok())
}
