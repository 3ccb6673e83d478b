//! Asks a balancer's stats socket.

use crate::setup::doctor::Finding;
use crate::setup::doctor::haproxy::tables::Balancer;
use crate::setup::doctor::haproxy::{self, ServedService};
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long the balancer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer, in bytes: some ten thousand servers.
const MOST: u64 = 16 << 20;

/// How often it is looked again for servers that are in an exchange with their agent just then.
const LOOKS: usize = 20;

/// How long between these looks.
const PAUSE: Duration = Duration::from_millis(25);

/// What is to be said of the balancer behind a socket.
pub(super) fn findings(socket: &str, services: &[ServedService]) -> Vec<Finding> {
    let asked = socket.to_owned();
    let (sender, seen) = sync_channel(1);
    // A balancer that hangs does not even take a connection to its socket, and there is no deadline for that.
    thread::spawn(move || sender.send(look(&asked)));
    let seen = seen.recv_timeout(PATIENCE * 2);
    match seen.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(balancer) => haproxy::findings(&balancer, services, &is_local),
        Err(error) => {
            let what = format!("{socket}: {error}");
            let remedy = "the path of its stats socket, and rights for it: stats socket /run/haproxy/admin.sock mode 660 \
                          level operator";
            vec![Finding::error("haproxy", what, remedy)]
        }
    }
}

fn look(socket: &str) -> io::Result<Balancer> {
    let info = ask(socket, "show info")?;
    let once = || {
        let statistics = ask(socket, "show stat")?;
        let states = ask(socket, "show servers state")?;
        io::Result::Ok(Balancer::read(&info, &statistics, &states))
    };
    let mut balancer = once()?;
    for _ in 0..LOOKS {
        if !balancer.asks_now() {
            break;
        }
        thread::sleep(PAUSE);
        balancer.take_at_rest(&once()?);
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
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST || Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its answer does not end",
            ));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether an address is one of this host: the kernel lets nobody listen on another.
fn is_local(address: &str) -> bool {
    let address: Option<IpAddr> = address.parse().ok();
    address.is_some_and(|ip| UdpSocket::bind((ip, 0)).is_ok())
}
