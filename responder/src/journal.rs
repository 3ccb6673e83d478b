//! What an accept loop tells about answers that did not come from a valid state file: one line when that
//! begins, changes its reason, or ends, however many probes hear of it.
//!
//! Clients can ask for names without end, so what is remembered is bounded, and so is the number of lines:
//! [`BURST`] at once and one every [`REFILL`] after that. Pure: where lines go is `stderr.rs`.

use crate::answer::{NoName, Reason, Unread, Wanted};
use agentcheck_common::{BootTime, ServiceName};
use core::time::Duration;

/// How many services in trouble are remembered; the oldest is forgotten for the next.
const REMEMBERED: usize = 32;

/// How many lines there may be at once.
pub const BURST: u8 = 10;

/// After how long there may be one more.
pub const REFILL: Duration = Duration::from_secs(10);

/// One line of text, at most 200 bytes, its newline included.
#[derive(Clone)]
pub struct Message {
    bytes: [u8; Message::MAX],
    length: usize,
}

impl Message {
    const MAX: usize = 200;

    /// Puts the parts together and ends them with a newline; what is too long is cut, and what is not
    /// printable ASCII becomes a `?`.
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

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// The line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The text of an error of the kernel: words for what administrators meet, for the others the number
/// (asm/errno.h).
#[must_use]
#[inline(never)]
pub fn error_text(error: usize) -> ErrorText {
    let words: &[u8] = match error {
        13 => b"permission denied",
        98 => b"address in use",
        99 => b"not an address of this host",
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

/// See [`error_text`].
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

/// A service in trouble, or the lack of one.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// Empty where no service is named.
    name: [u8; ServiceName::MAX],
    length: usize,
    /// `None` in a place that is free.
    reason: Option<Reason>,
}

/// What was told last.
#[derive(Debug)]
pub struct Journal {
    troubles: [Trouble; REMEMBERED],
    /// Whether any of the above is taken; nearly always none is.
    quiet: bool,
    /// Which one is forgotten next.
    oldest: usize,
    lines_left: u8,
    refilled: BootTime,
}

impl Journal {
    /// Nothing told yet.
    #[must_use]
    pub fn new(now: BootTime) -> Self {
        Self {
            troubles: [Trouble {
                name: [0; ServiceName::MAX],
                length: 0,
                reason: None,
            }; REMEMBERED],
            quiet: true,
            oldest: 0,
            lines_left: BURST,
            refilled: now,
        }
    }

    /// What is to be told of an answer to `wanted`, if anything: `reason` is why it was not from a valid
    /// file, `None` where it was.
    pub fn note(
        &mut self,
        wanted: &Wanted<'_>,
        reason: Option<Reason>,
        now: BootTime,
    ) -> Option<Message> {
        if reason.is_none() && self.quiet {
            return None;
        }
        self.note_change(wanted, reason, now)
    }

    #[cold]
    fn note_change(
        &mut self,
        wanted: &Wanted<'_>,
        reason: Option<Reason>,
        now: BootTime,
    ) -> Option<Message> {
        let name = match wanted {
            Wanted::Configured(name) | Wanted::Asked(name) => name.as_bytes(),
            Wanted::Nobody(NoName::NotConfigured | NoName::BadArguments) => b"",
            // What a client did not send is no news about this host.
            Wanted::Nobody(_) => return None,
        };
        let mut places = self.troubles.iter();
        let place = match places.position(|trouble| trouble.is_of(name)) {
            Some(place) => place,
            None if reason.is_none() => return None,
            None => self.place_for(),
        };
        let trouble = self.troubles.get_mut(place)?;
        if trouble.reason == reason {
            return None;
        }
        trouble.reason = reason;
        trouble.length = name.len();
        for (slot, byte) in trouble.name.iter_mut().zip(name) {
            *slot = *byte;
        }
        let mut places = self.troubles.iter();
        self.quiet = places.all(|trouble| trouble.reason.is_none());
        if !self.may_speak(now) {
            return None;
        }
        let colon: &[u8] = if name.is_empty() { b"" } else { b": " };
        let text = reason.map_or(b"the state file is valid again".as_slice(), text);
        let (behind, error) = match reason {
            Some(Reason::Unread(Unread::Error(error))) => (b": ".as_slice(), error),
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

    /// A place for one more: a free one, or one whose trouble is forgotten.
    fn place_for(&mut self) -> usize {
        let mut places = self.troubles.iter();
        let free = places.position(|trouble| trouble.reason.is_none());
        let place = free.unwrap_or_else(|| {
            self.oldest = (self.oldest + 1) % REMEMBERED;
            self.oldest
        });
        if let Some(trouble) = self.troubles.get_mut(place) {
            trouble.reason = None;
        }
        place
    }

    fn may_speak(&mut self, now: BootTime) -> bool {
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

impl Trouble {
    fn is_of(&self, name: &[u8]) -> bool {
        self.reason.is_some() && self.name.get(..self.length) == Some(name)
    }
}

fn text(reason: Reason) -> &'static [u8] {
    match reason {
        Reason::NoName => {
            b"the command line cannot be understood, or names no service, nor does the socket"
        }
        Reason::Unread(Unread::Absent) => b"there is no state file",
        Reason::Unread(Unread::NotAFile) => b"the state file is not a regular file",
        Reason::Unread(Unread::TooLong) => b"the state file is too long",
        Reason::Unread(Unread::NoDescriptor) => b"no descriptor left to open the state file with",
        Reason::Unread(Unread::Error(_)) => b"the state file cannot be read",
        Reason::BadState => b"the state file is malformed, or that of another service",
        Reason::NoBootId => b"/proc/sys/kernel/random/boot_id cannot be read",
        Reason::OtherBoot => b"the state file was written on another boot",
        Reason::Future => b"the state file is from the future",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn told(journal: &mut Journal, name: &str, reason: Option<Reason>, second: u64) -> String {
        let now = BootTime(second * 1_000_000_000);
        let name = Name::parse(name.as_bytes()).unwrap();
        let message = journal.note(&Wanted::Configured(name), reason, now);
        message.map_or_else(String::new, |message| {
            String::from_utf8(message.as_bytes().to_vec()).unwrap()
        })
    }

    #[test]
    fn one_line_per_change() {
        let mut journal = Journal::new(BootTime(0));
        let absent = Some(Reason::Unread(Unread::Absent));
        let refused = Some(Reason::Unread(Unread::Error(13)));
        let odd = Some(Reason::Unread(Unread::Error(4095)));
        assert_eq!(told(&mut journal, "web", None, 0), "");
        assert_eq!(
            told(&mut journal, "web", absent, 0),
            "web: there is no state file\n"
        );
        for _ in 0..100 {
            assert_eq!(told(&mut journal, "web", absent, 0), "");
            assert_eq!(told(&mut journal, "api", None, 0), "");
        }
        assert_eq!(
            told(&mut journal, "web", refused, 0),
            "web: the state file cannot be read: permission denied\n"
        );
        assert_eq!(
            told(&mut journal, "api", odd, 0),
            "api: the state file cannot be read: error 4095\n"
        );
        assert_eq!(
            told(&mut journal, "web", None, 0),
            "web: the state file is valid again\n"
        );
        assert_eq!(told(&mut journal, "web", None, 0), "");
    }

    #[test]
    fn clients_cannot_flood_it() {
        let mut journal = Journal::new(BootTime(0));
        let mut lines = 0;
        for number in 0..10_000 {
            let reason = Some(Reason::Unread(Unread::Absent));
            lines += usize::from(
                !told(&mut journal, &format!("x{number}"), reason, number / 100).is_empty(),
            );
        }
        // 100 seconds.
        assert_eq!(lines, usize::from(BURST) + 9);
        for client in [NoName::NotAsked, NoName::BadName] {
            let reason = Some(Reason::NoName);
            let later = BootTime(1 << 50);
            assert!(
                journal
                    .note(&Wanted::Nobody(client), reason, later)
                    .is_none()
            );
        }
        // And what was forgotten meanwhile does no harm.
        assert_eq!(told(&mut journal, "x0", None, 1 << 20), "");
    }

    #[test]
    fn a_message_is_one_printable_line() {
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
