//! What an accept loop tells about answers that did not come from a valid state file: one line when that
//! begins, changes its reason, or ends, however many probes hear of it.
//!
//! Clients can ask for names without end, so what is remembered is bounded, and so is the number of lines:
//! [`BURST`] at once and one every [`REFILL`] after that. Pure: where lines go is `stderr.rs`.

use crate::answer::{NoName, Reason, Unread, Wanted};
use crate::name::Name;
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

/// The text of an error of the kernel, with its number for the less usual ones.
#[must_use]
pub fn error_text(error: usize) -> ErrorText {
    let words: &[u8] = match error {
        1 | 13 => b"permission denied",
        2 => b"no such file or directory",
        5 => b"input/output error",
        20 => b"not a directory",
        23 | 24 => b"no descriptor left",
        40 => b"a symbolic link",
        97 => b"address family not supported",
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

/// What was told last.
#[derive(Debug)]
pub struct Journal {
    /// The services in trouble; side by side with their reasons.
    troubled: [Option<ServiceName>; REMEMBERED],
    reasons: [Option<Reason>; REMEMBERED],
    /// Where no service is named.
    unnamed: Option<Reason>,
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
            troubled: [None; REMEMBERED],
            reasons: [None; REMEMBERED],
            unnamed: None,
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
        self.quiet = false;
        let name = match wanted {
            Wanted::Configured(name) | Wanted::Asked(name) => Some(*name),
            Wanted::Nobody(NoName::NotConfigured | NoName::BadArguments) => None,
            // What a client did not send is no news about this host.
            Wanted::Nobody(_) => return None,
        };
        let remembered = match name {
            None => &mut self.unnamed,
            Some(name) => {
                let is_it = |slot: &Option<ServiceName>| {
                    slot.as_ref()
                        .is_some_and(|known| known.as_bytes() == name.as_bytes())
                };
                let known = self.troubled.iter().position(is_it);
                let place = match known {
                    Some(place) => place,
                    None if reason.is_none() => return None,
                    None => self.place_for(name),
                };
                if reason.is_none()
                    && let Some(slot) = self.troubled.get_mut(place)
                {
                    *slot = None;
                }
                self.reasons.get_mut(place)?
            }
        };
        if *remembered == reason {
            return None;
        }
        *remembered = reason;
        if reason.is_none() {
            self.quiet = self.unnamed.is_none() && self.troubled.iter().all(Option::is_none);
        }
        if !self.may_speak(now) {
            return None;
        }
        let name = name.map_or(b"".as_slice(), Name::as_bytes);
        let colon: &[u8] = if name.is_empty() { b"" } else { b": " };
        let text = reason.map_or(b"the state file is valid again".as_slice(), text);
        match reason {
            Some(Reason::Unread(Unread::Error(error))) => {
                let error = error_text(error);
                Some(Message::of(&[name, colon, text, b": ", error.as_bytes()]))
            }
            _ => Some(Message::of(&[name, colon, text])),
        }
    }

    /// A place for a service that was not in trouble.
    fn place_for(&mut self, name: Name<'_>) -> usize {
        let free = self.troubled.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.oldest = (self.oldest + 1) % REMEMBERED;
            self.oldest
        });
        if let Some(slot) = self.troubled.get_mut(place) {
            *slot = ServiceName::parse(name.as_bytes());
        }
        if let Some(slot) = self.reasons.get_mut(place) {
            *slot = None;
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
