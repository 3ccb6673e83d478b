//! Decides which messages an accept loop logs about services without a valid state file. It logs one line when the fault
//! begins, when its reason changes, and when it ends. The number of lines does not depend on the number of probes.
//!
//! Clients can send any number of names, so the table of services and the number of lines are bounded: [`BURST`] lines
//! at once, then one every [`REFILL`]. Pure: `diagnostics.rs` composes and writes the lines.

use crate::reply::{NoName, Reason, Target};
use crate::sys::Errno;
use crate::text::{copy, item};
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

/// The message about evicted clients.
pub const EVICTION: &[u8] = b"all connections are in use: ending the wait for silent clients";

/// No reason. An empty log has only bytes of 0, so the program does not contain it.
const FREE: Reason = Reason(0);

/// A service without a valid state file, with the last logged reason.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// [`FREE`] if the entry is free.
    reason: Reason,
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
                reason: FREE,
            }; REMEMBERED],
            is_empty: true,
            oldest: 0,
            lines_left: BURST,
            refilled: now,
            next_eviction: now,
        }
    }

    /// Records the answer for `target` and returns whether to log [`message`]. `reason` is why the answer does not come
    /// from a valid state file, or `None` if it does.
    pub fn record(&mut self, target: &Target<'_>, reason: Option<Reason>, now: BootTime) -> bool {
        (reason.is_some() || !self.is_empty)
            && self.record_change(target, reason)
            && self.may_log(now)
    }

    /// Records that a client was evicted and returns whether to log [`EVICTION`].
    pub fn record_eviction(&mut self, now: BootTime) -> bool {
        let is_due = now >= self.next_eviction;
        if is_due {
            self.next_eviction = now.after(EVICTION_PAUSE);
        }
        is_due
    }

    /// Returns whether the reason is another one than before.
    #[cold]
    fn record_change(&mut self, target: &Target<'_>, reason: Option<Reason>) -> bool {
        let reason = reason.unwrap_or(FREE);
        let Some(name) = name(target) else {
            return false;
        };
        let mut faults = self.faults.iter();
        let index = match faults.position(|fault| fault.is_of(name)) {
            Some(index) => index,
            None if reason == FREE => return false,
            None => self.free_entry(),
        };
        let Some(fault) = self.faults.get_mut(index) else {
            return false;
        };
        if fault.reason == reason {
            return false;
        }
        fault.reason = reason;
        fault.length = name.len();
        copy(&mut fault.name, name);
        let mut faults = self.faults.iter();
        self.is_empty = faults.all(|fault| fault.reason == FREE);
        true
    }

    /// The index of a free entry. If there is none, the oldest entry is cleared.
    fn free_entry(&mut self) -> usize {
        let mut faults = self.faults.iter();
        let free = faults.position(|fault| fault.reason == FREE);
        let index = free.unwrap_or_else(|| {
            self.oldest = (self.oldest + 1) % REMEMBERED;
            self.oldest
        });
        if let Some(fault) = self.faults.get_mut(index) {
            fault.reason = FREE;
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
        self.reason != FREE && self.name.get(..self.length) == Some(name)
    }
}

/// The name under which a fault is recorded; empty if there is no service name. `None` for a fault of the client, which is
/// not one of this host.
fn name<'n>(target: &Target<'n>) -> Option<&'n [u8]> {
    match target {
        Target::Configured(name) | Target::FromClient(name) => Some(name.as_bytes()),
        Target::Unnamed(NoName::NotConfigured | NoName::BadArguments) => Some(b""),
        Target::Unnamed(_) => None,
    }
}

/// The message about an answer: the parts of the text, and the error of the kernel whose text follows.
#[must_use]
pub fn message<'n>(target: &Target<'n>, reason: Option<Reason>) -> ([&'n [u8]; 3], Option<Errno>) {
    let name = name(target).unwrap_or_default();
    let colon: &[u8] = if name.is_empty() { b"" } else { b": " };
    let index = reason.map_or(VALID, Reason::index);
    let error = reason
        .filter(|_| index == 0)
        .map(|Reason(number)| Errno(number));
    ([name, colon, item(TEXTS, index)], error)
}

/// The texts for reasons, in the order of [`Reason::index`].
const TEXTS: &[u8] = b"cannot read the state file\n\
    there is no state file\n\
    cannot open the state file: no file descriptor left\n\
    no service: the command line is invalid, or neither it nor the socket names a service\n\
    the state file is not a regular file\n\
    the state file is longer than 4096 bytes\n\
    the state file is malformed or belongs to another service\n\
    cannot read /proc/sys/kernel/random/boot_id\n\
    the state file was written on another boot\n\
    the state file was written in the future\n\
    the state file is valid again";

/// The index of the text for a valid state file.
const VALID: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameRef;

    fn logged(log: &mut StateLog, name: &str, reason: Option<Reason>, second: u64) -> String {
        let now = BootTime(second * 1_000_000_000);
        let name = NameRef::parse(name.as_bytes()).unwrap();
        let target = Target::Configured(name);
        if !log.record(&target, reason, now) {
            return String::new();
        }
        let (parts, error) = message(&target, reason);
        let error = error.map_or_else(String::new, |error| format!(" {}", error.0));
        String::from_utf8(parts.concat()).unwrap() + &error
    }

    #[test]
    fn each_change_gives_one_line() {
        let mut log = StateLog::new(BootTime(0));
        let absent = Some(Reason::ABSENT);
        let refused = Some(Reason(13));
        let odd = Some(Reason(4095));
        assert_eq!(logged(&mut log, "web", None, 0), "");
        assert_eq!(
            logged(&mut log, "web", absent, 0),
            "web: there is no state file"
        );
        for _ in 0..100 {
            assert_eq!(logged(&mut log, "web", absent, 0), "");
            assert_eq!(logged(&mut log, "api", None, 0), "");
        }
        assert_eq!(
            logged(&mut log, "web", refused, 0),
            "web: cannot read the state file 13"
        );
        assert_eq!(
            logged(&mut log, "api", odd, 0),
            "api: cannot read the state file 4095"
        );
        assert_eq!(
            logged(&mut log, "web", None, 0),
            "web: the state file is valid again"
        );
        assert_eq!(logged(&mut log, "web", None, 0), "");
    }

    #[test]
    fn clients_cannot_flood_the_log() {
        let mut log = StateLog::new(BootTime(0));
        let mut lines = 0;
        for number in 0..10_000 {
            let reason = Some(Reason::ABSENT);
            lines += usize::from(
                !logged(&mut log, &format!("x{number}"), reason, number / 100).is_empty(),
            );
        }
        // 100 seconds.
        assert_eq!(lines, usize::from(BURST) + 9);
        for cause in [NoName::NotSent, NoName::Invalid] {
            let reason = Some(Reason::NO_NAME);
            let later = BootTime(1 << 50);
            assert!(!log.record(&Target::Unnamed(cause), reason, later));
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
            lines += usize::from(log.record_eviction(now));
        }
        assert_eq!(lines, 3);
    }
}
