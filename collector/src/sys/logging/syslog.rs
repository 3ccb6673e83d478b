//! The syslog of this host: datagrams to its socket.
//!
//! Our own, in a few lines: the `syslog` crate (7.0.0) neither connects again after syslogd was restarted nor
//! sends without waiting, and brings `time` with it for a moment that every syslogd adds by itself.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Where syslogd listens.
pub(super) const SOCKET: &str = "/dev/log";

/// The facility `daemon`, in its place within a priority (RFC 3164).
const DAEMON: u8 = 3 << 3;

/// What says how many lines are lost.
const WARNING: u8 = 4;

/// A way to a syslogd that may come, go and be stuck.
pub(super) struct Syslog {
    path: PathBuf,
    pid: u32,
    socket: Option<UnixDatagram>,
    /// Lines that could not be sent since the last one that could.
    lost: u64,
}

impl Syslog {
    /// Lines will say that they are of the process `pid`.
    pub(super) fn new(path: PathBuf, pid: u32) -> Self {
        Self {
            path,
            pid,
            socket: None,
            lost: 0,
        }
    }

    /// Sends a line of this severity. One that cannot be sent at once is lost and counted.
    pub(super) fn say(&mut self, severity: u8, text: &str) {
        if self.lost > 0 {
            let lines = crate::render::text::counted(
                usize::try_from(self.lost).unwrap_or_default(),
                "line",
            );
            if self.send(
                WARNING,
                &format!("{lines} of the log lost: syslog did not take them"),
            ) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.send(severity, text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Connects, where that has not been done.
    pub(super) fn connect(&mut self) -> io::Result<&UnixDatagram> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                // A syslogd that does not read must not hold up a reply.
                socket.set_nonblocking(true)?;
                socket.connect(&self.path)?;
                socket
            }
        };
        Ok(self.socket.insert(socket))
    }

    /// Whether a line could be sent.
    fn send(&mut self, severity: u8, text: &str) -> bool {
        // Without a moment, which syslogd adds: it would have to be in its time zone.
        let line = format!("<{}>agentcheck[{}]: {text}", DAEMON | severity, self.pid);
        // A syslogd that was restarted has another socket at the same path.
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

    /// A socket's place that is gone when the test is over.
    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Self {
            let name = format!("agentcheck-syslog-{test}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn syslogd(&self) -> UnixDatagram {
            let _ = std::fs::remove_file(&self.0);
            let socket = UnixDatagram::bind(&self.0).unwrap();
            // What was sent is there; what was not must not hold up the test.
            socket.set_nonblocking(true).unwrap();
            socket
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut line = [0; 2048];
        let length = socket.recv(&mut line).ok()?;
        Some(String::from_utf8(line[..length].to_vec()).unwrap())
    }

    #[test]
    fn lines_have_facility_severity_and_process() {
        let place = Place::new("lines");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 4711);
        for (severity, text) in [(3, "a"), (4, "<0>b"), (6, "c"), (7, "d")] {
            syslog.say(severity, text);
        }
        for expected in [
            "<27>agentcheck[4711]: a",
            "<28>agentcheck[4711]: <0>b",
            "<30>agentcheck[4711]: c",
            "<31>agentcheck[4711]: d",
        ] {
            assert_eq!(heard(&syslogd).unwrap(), expected);
        }
        assert_eq!(heard(&syslogd), None);
    }

    #[test]
    fn one_that_comes_late_is_told_what_is_lost() {
        let place = Place::new("late");
        let mut syslog = Syslog::new(place.0.clone(), 1);
        syslog.connect().unwrap_err();
        syslog.say(6, "one");
        syslog.say(6, "two");
        let syslogd = place.syslogd();
        syslog.say(6, "three");
        let lost = "<28>agentcheck[1]: 2 lines of the log lost: syslog did not take them";
        assert_eq!(heard(&syslogd).unwrap(), lost);
        assert_eq!(heard(&syslogd).unwrap(), "<30>agentcheck[1]: three");
        assert_eq!(heard(&syslogd), None);
    }

    #[test]
    fn one_that_is_restarted_is_found_again() {
        let place = Place::new("restarted");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 1);
        syslog.say(6, "one");
        assert_eq!(heard(&syslogd).unwrap(), "<30>agentcheck[1]: one");
        drop(syslogd);
        let syslogd = place.syslogd();
        syslog.say(6, "two");
        assert_eq!(heard(&syslogd).unwrap(), "<30>agentcheck[1]: two");
        // Gone for good: lines are lost, and nothing else happens.
        drop(syslogd);
        syslog.say(6, "three");
        assert_eq!(syslog.lost, 1);
    }

    #[test]
    fn one_that_does_not_read_holds_nobody_up() {
        let place = Place::new("stuck");
        let syslogd = place.syslogd();
        let mut syslog = Syslog::new(place.0.clone(), 1);
        let long = "x".repeat(900);
        // Until its buffer is full, and on. Were it waited for, this would never end.
        let mut said = 0;
        while syslog.lost < 100 {
            syslog.say(6, &long);
            said += 1;
            assert!(said < 100_000, "the buffer has no end");
        }
        let taken = said - 100;
        for _ in 0..taken {
            assert!(heard(&syslogd).unwrap().ends_with('x'));
        }
        assert_eq!(heard(&syslogd), None);
        syslog.say(6, "again");
        assert!(heard(&syslogd).unwrap().contains(": 100 lines "));
        assert_eq!(heard(&syslogd).unwrap(), "<30>agentcheck[1]: again");
    }
}
