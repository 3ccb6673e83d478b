//! The syslog of this host: datagrams to its socket.
//!
//! Own code, a few lines: the `syslog` crate (7.0.0) neither reconnects after a restart of syslogd nor sends
//! without waiting, and depends on `time` for a timestamp that every syslogd adds by itself.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// The socket of syslogd.
pub(super) const SOCKET: &str = "/dev/log";

/// The facility `daemon`, shifted as in a priority (RFC 3164).
const DAEMON: u8 = 3 << 3;

/// The severity of the line about lost lines.
const WARNING: u8 = 4;

/// A connection to a syslogd that may start, stop and block.
pub(super) struct Syslog {
    path: PathBuf,
    pid: u32,
    socket: Option<UnixDatagram>,
    /// Lines lost since the last one that was sent.
    lost: u64,
}

impl Syslog {
    /// A connection whose lines name the process `pid`.
    pub(super) fn new(path: PathBuf, pid: u32) -> Self {
        Self {
            path,
            pid,
            socket: None,
            lost: 0,
        }
    }

    /// Sends a line of this severity. A line that cannot be sent at once is lost and counted.
    pub(super) fn write_line(&mut self, severity: u8, text: &str) {
        if self.lost > 0 {
            let lines = crate::render::text::counted(
                usize::try_from(self.lost).unwrap_or_default(),
                "line",
            );
            if self.send(
                WARNING,
                &format!("{lines} of the log lost: syslog was full or stopped"),
            ) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.send(severity, text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Connects, unless connected.
    pub(super) fn connect(&mut self) -> io::Result<&UnixDatagram> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                // A syslogd that does not read must not delay a reply.
                socket.set_nonblocking(true)?;
                socket.connect(&self.path)?;
                socket
            }
        };
        Ok(self.socket.insert(socket))
    }

    /// Whether the line was sent.
    fn send(&mut self, severity: u8, text: &str) -> bool {
        // Without a timestamp, which syslogd adds: it would have to be in syslogd's time zone.
        let line = format!("<{}>agentcheck[{}]: {text}", DAEMON | severity, self.pid);
        // A restarted syslogd has another socket at the same path.
        for _ in 0..2 {
            let Ok(socket) = self.connect() else {
                return false;
            };
            match socket.send(line.as_bytes()) {
                Ok(_) => return true,
                // It does not read.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => self.socket = None,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path of a socket that is removed after the test.
    struct SocketPath(PathBuf);

    impl SocketPath {
        fn new(test: &str) -> Self {
            let name = format!("agentcheck-syslog-{test}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn syslogd(&self) -> UnixDatagram {
            let _ = std::fs::remove_file(&self.0);
            let socket = UnixDatagram::bind(&self.0).unwrap();
            // What was sent is there; the rest must not block the test.
            socket.set_nonblocking(true).unwrap();
            socket
        }
    }

    impl Drop for SocketPath {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut line = [0; 2048];
        let length = socket.recv(&mut line).ok()?;
        Some(String::from_utf8(line[..length].to_vec()).unwrap())
    }

    #[test]
    fn lines_have_facility_severity_and_process() {
        let place = SocketPath::new("lines");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 4711);
        for (severity, text) in [(3, "a"), (4, "<0>b"), (6, "c"), (7, "d")] {
            syslog.write_line(severity, text);
        }
        for expected in [
            "<27>agentcheck[4711]: a",
            "<28>agentcheck[4711]: <0>b",
            "<30>agentcheck[4711]: c",
            "<31>agentcheck[4711]: d",
        ] {
            assert_eq!(received(&syslogd).unwrap(), expected);
        }
        assert_eq!(received(&syslogd), None);
    }

    #[test]
    fn late_syslogd_gets_the_number_of_lost_lines() {
        let place = SocketPath::new("late");
        let mut syslog = Syslog::new(place.0.clone(), 1);
        syslog.connect().unwrap_err();
        syslog.write_line(6, "one");
        syslog.write_line(6, "two");
        let syslogd = place.syslogd();
        syslog.write_line(6, "three");
        let lost = "<28>agentcheck[1]: 2 lines of the log lost: syslog was full or stopped";
        assert_eq!(received(&syslogd).unwrap(), lost);
        assert_eq!(received(&syslogd).unwrap(), "<30>agentcheck[1]: three");
        assert_eq!(received(&syslogd), None);
    }

    #[test]
    fn restarted_syslogd_is_found_again() {
        let place = SocketPath::new("restarted");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 1);
        syslog.write_line(6, "one");
        assert_eq!(received(&syslogd).unwrap(), "<30>agentcheck[1]: one");
        drop(syslogd);
        let syslogd = place.syslogd();
        syslog.write_line(6, "two");
        assert_eq!(received(&syslogd).unwrap(), "<30>agentcheck[1]: two");
        // Stopped for good: lines are lost, and nothing else happens.
        drop(syslogd);
        syslog.write_line(6, "three");
        assert_eq!(syslog.lost, 1);
    }

    #[test]
    fn blocked_syslogd_delays_no_line() {
        let place = SocketPath::new("stuck");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 1);
        let long = "x".repeat(900);
        // Until its buffer is full, and further. With waiting, this would never end.
        let mut written = 0;
        while syslog.lost < 100 {
            syslog.write_line(6, &long);
            written += 1;
            assert!(written < 100_000, "the buffer has no end");
        }
        let taken = written - 100;
        for _ in 0..taken {
            assert!(received(&syslogd).unwrap().ends_with('x'));
        }
        assert_eq!(received(&syslogd), None);
        syslog.write_line(6, "again");
        assert!(received(&syslogd).unwrap().contains(": 100 lines "));
        assert_eq!(received(&syslogd).unwrap(), "<30>agentcheck[1]: again");
    }
}
