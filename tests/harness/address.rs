//! Loopback addresses that belong to one test.
//!
//! All of 127.0.0.0/8 is the loopback. A test claims a block of 256 addresses for as long as it runs, and gives every
//! listener an address of its own, with any port. So no test searches for a free port.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;

/// The port of agents in tests, which differ by address.
pub const AGENT_PORT: u16 = 3333;

/// 127.a.b.0 to 127.a.b.255, claimed until dropped.
#[derive(Debug)]
pub struct Block {
    high: (u8, u8),
    next: Mutex<u8>,
    /// The test that has bound 127.a.b.255 owns the block. The kernel frees it when the test ends.
    _claim: UdpSocket,
}

impl Block {
    /// The address whose port [`CLAIM_PORT`] is the claim to the whole block.
    const CLAIM: u8 = 255;

    /// Claims a block that no other test owns.
    ///
    /// # Panics
    /// Where a thousand blocks in a row are taken: something leaks them.
    #[must_use]
    pub fn claim() -> Self {
        for _ in 0..1_000 {
            let high = random_pair();
            // 127.0.x.x is for everybody else on this machine.
            if high.0 == 0 || high.0 == 255 {
                continue;
            }
            let claim = Ipv4Addr::new(127, high.0, high.1, Self::CLAIM);
            if let Ok(claim) = UdpSocket::bind((claim, CLAIM_PORT)) {
                return Self {
                    high,
                    next: Mutex::new(1),
                    _claim: claim,
                };
            }
        }
        panic!("no block of loopback addresses is free");
    }

    /// An address that this block has not given yet, with this port.
    ///
    /// # Panics
    /// After 254 of them.
    pub fn address(&self, port: u16) -> SocketAddr {
        let mut next = self.next.lock().unwrap();
        assert!(*next < Self::CLAIM, "the block has no address left");
        let address = Ipv4Addr::new(127, self.high.0, self.high.1, *next);
        *next += 1;
        SocketAddr::new(IpAddr::V4(address), port)
    }

    /// An address for an agent: a new one, port [`AGENT_PORT`].
    pub fn agent(&self) -> SocketAddr {
        self.address(AGENT_PORT)
    }
}

const CLAIM_PORT: u16 = 9;

fn random_pair() -> (u8, u8) {
    let mut bytes = [0; 2];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("/dev/urandom gives bytes");
    (bytes[0], bytes[1])
}

/// Whether something listens on this address, by the kernel's table: a connection to a launcher would start a
/// process.
///
/// # Panics
/// For anything but IPv4.
#[must_use]
pub fn is_listening(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} is not IPv4");
    };
    // The kernel prints the address as a native integer of the bytes in network order.
    let wanted = |ip: Ipv4Addr| {
        let number = u32::from_ne_bytes(ip.octets());
        format!("{number:08X}:{:04X}", address.port())
    };
    let wanted = [wanted(ip), wanted(Ipv4Addr::UNSPECIFIED)];
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp can be read");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        let state = fields.nth(1).unwrap_or_default();
        state == "0A" && wanted.iter().any(|wanted| wanted == local)
    })
}
