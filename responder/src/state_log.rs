//! Decides which messages an accept loop logs about services without a valid state file. It logs one line when the fault
//! begins, when its reason changes, and when it ends. The number of lines does not depend on the number of probes.
//!
//! Clients can send any number of names, so the table of services and the number of lines are bounded: [`BURST`] lines
//! at once, then one every [`REFILL`]. Pure: `diagnostics.rs` writes the lines.

use crate::reply::{NoName, ReadError, Reason, Target};
use agentcheck_common::{BootTime, ServiceName};
use core::time::Duration;

/// The number of services without a valid state file that the log remembers. The next one replaces the oldest.
const REMEMBERED: usize = 32;

/// The number of lines that may be logged at once.
pub const BURST: u8 = 10;

/// The shortest time between two messages about evicted clients.
pub const EVICTION_PAUSE: Duration = Duration::from_secs(60);

/// The time after which one more line may be logged.
pub const REFILL: Duration = Duration::from_secs(10);

/// One line of text, at most 200 bytes including its newline.
#[derive(Clone)]
pub struct Message {
    bytes: [u8; Message::MAX],
    length: usize,
}

impl Message {
    const MAX: usize = 200;

    /// Joins the parts and adds a newline. Text that is too long is cut; each byte that is not printable ASCII becomes
    /// a `?`.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut message = Self {
            bytes: [0; Self::MAX],
            length: 0,
        };
        for byte in parts.iter().copied().flatten() {
            let printable = matches!(byte, b' '..=b'~');
            if message.length < Self::MAX - 1 {
                message.push(if printable { *byte } else { b'?' });
            }
        }
        message.push(b'\n');
        message
    }

    /// As [`Message::of`], with one part. Not inlined: for an array of a constant, the program would contain a table of
    /// addresses.
    #[must_use]
    #[inline(never)]
    pub fn from_text(text: &[u8]) -> Self {
        Self::of(&[text])
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// The whole line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The text for an error of the kernel: a phrase for a common error, or the number of another one (asm/errno.h).
#[must_use]
#[inline(never)]
pub fn error_text(error: usize) -> ErrorText {
    let words: &[u8] = match error {
        13 => b"permission denied",
        98 => b"address already in use",
        99 => b"this host does not have the address",
        _ => b"",
    };
    let mut text = ErrorText {
        words,
        digits: *b"error     ",
    };
    let mut rest = error;
    for digit in text.digits.iter_mut().rev().take(4) {
        if rest > 0 {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        }
        rest /= 10;
    }
    text
}

/// The result of [`error_text`].
#[derive(Clone, Copy, Debug)]
pub struct ErrorText {
    words: &'static [u8],
    digits: [u8; 10],
}

impl ErrorText {
    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.words.is_empty() {
            &self.digits
        } else {
            self.words
        }
    }
}

/// A service without a valid state file, with the last logged reason.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// `None` if the entry is free.
    reason: Option<Reason>,
    length: usize,
    /// Empty if there is no service name.
    name: [u8; ServiceName::MAX],
}

/// The last logged reasons and the budget of lines.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Debug)]
pub struct StateLog {
    /// Whether `faults` has no entries. This is nearly always the case, and makes an answer cheap.
    is_empty: bool,
    /// The index of the entry that was replaced last.
    oldest: usize,
    lines_left: u8,
    refilled: BootTime,
    /// When the next eviction is logged.
    next_eviction: BootTime,
    faults: [Fault; REMEMBERED],
}

impl StateLog {
    /// An empty log.
    #[must_use]
    pub fn new(now: BootTime) -> Self {
        Self {
            faults: [Fault {
                name: [0; ServiceName::MAX],
                length: 0,
                reason: None,
            }; REMEMBERED],
            is_empty: true,
            oldest: 0,
            lines_left: BURST,
            refilled: now,
            next_eviction: now,
        }
    }

    /// Records the answer for `target` and returns the message to log, if any. `reason` is why the answer does not come
    /// from a valid state file, or `None` if it does.
    pub fn record(
        &mut self,
        target: &Target<'_>,
        reason: Option<Reason>,
        now: BootTime,
    ) -> Option<Message> {
        if reason.is_none() && self.is_empty {
            return None;
        }
        self.record_change(target, reason, now)
    }

    /// Records that a client was evicted and returns the message to log, if any.
    pub fn record_eviction(&mut self, now: BootTime) -> Option<Message> {
        if now < self.next_eviction {
            return None;
        }
        self.next_eviction = now.after(EVICTION_PAUSE);
        let text = b"all connections are in use: ending the wait for silent clients";
        Some(Message::from_text(text))
    }

    #[cold]
    fn record_change(
        &mut self,
        target: &Target<'_>,
        reason: Option<Reason>,
        now: BootTime,
    ) -> Option<Message> {
        let name = match target {
            Target::Configured(name) | Target::FromClient(name) => name.as_bytes(),
            Target::Unnamed(NoName::NotConfigured | NoName::BadArguments) => b"",
            // A fault of the client, not of this host.
            Target::Unnamed(_) => return None,
        };
        let mut faults = self.faults.iter();
        let index = match faults.position(|fault| fault.is_of(name)) {
            Some(index) => index,
            None if reason.is_none() => return None,
            None => self.free_entry(),
        };
        let fault = self.faults.get_mut(index)?;
        if fault.reason == reason {
            return None;
        }
        fault.reason = reason;
        fault.length = name.len();
        for (slot, byte) in fault.name.iter_mut().zip(name) {
            *slot = *byte;
        }
        let mut faults = self.faults.iter();
        self.is_empty = faults.all(|fault| fault.reason.is_none());
        if !self.may_log(now) {
            return None;
        }
        let colon: &[u8] = if name.is_empty() { b"" } else { b": " };
        let text = reason.map_or(b"the state file is valid again".as_slice(), text);
        let (behind, error) = match reason {
            Some(Reason::ReadError(ReadError::Error(error))) => (b": ".as_slice(), error.into()),
            _ => (b"".as_slice(), 0),
        };
        let error = error_text(error);
        let error = if behind.is_empty() {
            b""
        } else {
            error.as_bytes()
        };
        Some(Message::of(&[name, colon, text, behind, error]))
    }

    /// The index of a free entry. If there is none, the oldest entry is cleared.
    fn free_entry(&mut self) -> usize {
        let mut faults = self.faults.iter();
        let free = faults.position(|fault| fault.reason.is_none());
        let index = free.unwrap_or_else(|| {
            self.oldest = (self.oldest + 1) % REMEMBERED;
            self.oldest
        });
        if let Some(fault) = self.faults.get_mut(index) {
            fault.reason = None;
        }
        index
    }

    fn may_log(&mut self, now: BootTime) -> bool {
        while self.lines_left < BURST && now.since(self.refilled) >= REFILL {
            self.refilled = self.refilled.after(REFILL);
            self.lines_left += 1;
        }
        if self.lines_left == BURST {
            self.refilled = now;
        }
        match self.lines_left.checked_sub(1) {
            Some(left) => {
                self.lines_left = left;
                true
            }
            None => false,
        }
    }
}

impl Fault {
    fn is_of(&self, name: &[u8]) -> bool {
        self.reason.is_some() && self.name.get(..self.length) == Some(name)
    }
}

fn text(reason: Reason) -> &'static [u8] {
    match reason {
        Reason::NoName => {
            b"no service: the command line is invalid, or neither it nor the socket names a service"
        }
        Reason::ReadError(ReadError::Absent) => b"there is no state file",
        Reason::ReadError(ReadError::NotAFile) => b"the state file is not a regular file",
        Reason::ReadError(ReadError::TooLong) => b"the state file is longer than 4096 bytes",
        Reason::ReadError(ReadError::NoDescriptor) => {
            b"cannot open the state file: no file descriptor left"
        }
        Reason::ReadError(ReadError::Error(_)) => b"cannot read the state file",
        Reason::BadState => b"the state file is malformed or belongs to another service",
        Reason::NoBootId => b"cannot read /proc/sys/kernel/random/boot_id",
        Reason::OtherBoot => b"the state file was written on another boot",
        Reason::Future => b"the state file was written in the future",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameRef;

    fn logged(log: &mut StateLog, name: &str, reason: Option<Reason>, second: u64) -> String {
        let now = BootTime(second * 1_000_000_000);
        let name = NameRef::parse(name.as_bytes()).unwrap();
        let message = log.record(&Target::Configured(name), reason, now);
        message.map_or_else(String::new, |message| {
            String::from_utf8(message.as_bytes().to_vec()).unwrap()
        })
    }

    #[test]
    fn each_change_gives_one_line() {
        let mut log = StateLog::new(BootTime(0));
        let absent = Some(Reason::ReadError(ReadError::Absent));
        let refused = Some(Reason::ReadError(ReadError::Error(13)));
        let odd = Some(Reason::ReadError(ReadError::Error(4095)));
        assert_eq!(logged(&mut log, "web", None, 0), "");
        assert_eq!(
            logged(&mut log, "web", absent, 0),
            "web: there is no state file\n"
        );
        for _ in 0..100 {
            assert_eq!(logged(&mut log, "web", absent, 0), "");
            assert_eq!(logged(&mut log, "api", None, 0), "");
        }
        assert_eq!(
            logged(&mut log, "web", refused, 0),
            "web: cannot read the state file: permission denied\n"
        );
        assert_eq!(
            logged(&mut log, "api", odd, 0),
            "api: cannot read the state file: error 4095\n"
        );
        assert_eq!(
            logged(&mut log, "web", None, 0),
            "web: the state file is valid again\n"
        );
        assert_eq!(logged(&mut log, "web", None, 0), "");
    }

    #[test]
    fn clients_cannot_flood_the_log() {
        let mut log = StateLog::new(BootTime(0));
        let mut lines = 0;
        for number in 0..10_000 {
            let reason = Some(Reason::ReadError(ReadError::Absent));
            lines += usize::from(
                !logged(&mut log, &format!("x{number}"), reason, number / 100).is_empty(),
            );
        }
        // 100 seconds.
        assert_eq!(lines, usize::from(BURST) + 9);
        for cause in [NoName::NotSent, NoName::Invalid] {
            let reason = Some(Reason::NoName);
            let later = BootTime(1 << 50);
            assert!(log.record(&Target::Unnamed(cause), reason, later).is_none());
        }
        // The log has replaced this entry since; it then logs nothing.
        assert_eq!(logged(&mut log, "x0", None, 1 << 20), "");
    }

    #[test]
    fn evictions_are_logged_once_a_minute() {
        let mut log = StateLog::new(BootTime(0));
        let mut lines = 0;
        for second in 0..150 {
            let now = BootTime(second * 1_000_000_000);
            lines += usize::from(log.record_eviction(now).is_some());
        }
        assert_eq!(lines, 3);
    }

    #[test]
    fn message_is_one_printable_line() {
        let long = [b'\n'; 500];
        let message = Message::of(&[b"\xff", &long]);
        assert_eq!(message.as_bytes().len(), Message::MAX);
        assert!(message.as_bytes().starts_with(b"???"));
        assert_eq!(
            message
                .as_bytes()
                .iter()
                .filter(|byte| **byte == b'\n')
                .count(),
            1
        );
    }
}
