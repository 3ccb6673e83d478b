//! The schedule of replies that a state file holds: what to say until when, decided in advance by the
//! collector for the time when it is no longer there to decide.
//!
//! ```text
//! agentcheck 1 web
//! boot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11
//! from 81234567890123
//! until 81264567890123 up 73% # app.rps=1890
//! then up 73% # stale
//! ```
//!
//! One blank between the words, a newline after every line, times in nanoseconds of `CLOCK_BOOTTIME`
//! and strictly rising, at least the `then` line and nothing after it. A file that is anything else is
//! refused as a whole: a torn or foreign file must never become half an answer.
//!
//! Decoding and picking need neither allocation nor std, so that the freestanding responder can do it.

use crate::decimal::{canonical, digits};
use crate::{BootId, BootTime, Reply, ServiceName, reply};
use core::fmt;

/// The longest state file, in bytes: one page, some 25 stages with the longest descriptions.
pub const MAX_FILE: usize = 4096;

/// The version of the format that is written. A responder reads its own and the one before.
pub const VERSION: u8 = 1;

/// A reply and when it stops being said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Said as long as the clock is before this moment.
    pub until: BootTime,
    /// What is said.
    pub reply: Reply,
}

/// A state file's text, encoded.
#[derive(Clone)]
pub struct Encoded {
    bytes: [u8; MAX_FILE],
    len: usize,
}

impl Encoded {
    /// The whole file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Encoded {
    fn put(&mut self, piece: &[u8]) -> fmt::Result {
        let end = self.len + piece.len();
        let slot = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        slot.copy_from_slice(piece);
        self.len = end;
        Ok(())
    }
}

/// Why a schedule cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEncoded {
    /// It would have more than [`MAX_FILE`] bytes.
    TooLong,
    /// The stage with this index does not end after the one before it, or after `from`.
    NotRising(usize),
    /// A reply in it has no word.
    SaysNothing,
}

impl fmt::Display for NotEncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the schedule has more than {MAX_FILE} bytes"),
            Self::NotRising(index) => {
                write!(f, "stage {index} does not end after the one before it")
            }
            Self::SaysNothing => f.write_str("a reply without a word"),
        }
    }
}

/// The state file of service `name` that says `stages` one after the other and `then` for ever after.
///
/// # Errors
/// Where the stages' ends do not rise strictly from `from`, a reply says nothing, or the text would be
/// longer than [`MAX_FILE`].
pub fn encode(
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
) -> Result<Encoded, NotEncoded> {
    let mut file = Encoded {
        bytes: [0; MAX_FILE],
        len: 0,
    };
    encode_to(name, boot, from, stages, then, |piece| file.put(piece))?;
    Ok(file)
}

/// Like [`encode`], but passes the text to `put` in pieces, without a copy of the largest file that there may be.
///
/// # Errors
/// Those of [`encode`], and [`NotEncoded::TooLong`] where `put` fails. Pieces may have been passed by then.
pub fn encode_to(
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
    mut put: impl FnMut(&[u8]) -> fmt::Result,
) -> Result<(), NotEncoded> {
    let mut last = from;
    for (index, stage) in stages.iter().enumerate() {
        if stage.until <= last {
            return Err(NotEncoded::NotRising(index));
        }
        last = stage.until;
    }
    if then.says_nothing() || stages.iter().any(|stage| stage.reply.says_nothing()) {
        return Err(NotEncoded::SaysNothing);
    }
    let mut left = MAX_FILE;
    let mut put = |piece: &[u8]| {
        left = left.checked_sub(piece.len()).ok_or(fmt::Error)?;
        put(piece)
    };
    write_all(&mut put, name, boot, from, stages, then).map_err(|_| NotEncoded::TooLong)
}

fn write_all(
    put: &mut impl FnMut(&[u8]) -> fmt::Result,
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
) -> fmt::Result {
    let mut buffer = [0; 20];
    put(b"agentcheck ")?;
    put(digits(VERSION.into(), &mut buffer))?;
    put(b" ")?;
    put(name.as_bytes())?;
    put(b"\nboot ")?;
    put(boot.as_bytes())?;
    put(b"\nfrom ")?;
    put(digits(from.0, &mut buffer))?;
    for stage in stages {
        put(b"\nuntil ")?;
        put(digits(stage.until.0, &mut buffer))?;
        put(b" ")?;
        stage.reply.write(&mut *put)?;
    }
    put(b"\nthen ")?;
    then.write(&mut *put)?;
    put(b"\n")
}

/// Why a state file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is longer than [`MAX_FILE`], or not in the format from its first to its last byte.
    Malformed,
    /// It is of another service.
    OtherName,
    /// It was written on another boot, so that its times mean nothing.
    OtherBoot,
    /// Its times begin after now.
    Future,
}

/// A state file's content, checked to its last byte, its times not yet looked at.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// The service that it speaks for: a name that [`ServiceName::parse`] takes.
    pub name: &'a [u8],
    /// The boot whose clock its times are of: an id that [`BootId::parse`] takes.
    pub boot: &'a [u8],
    /// When it was written.
    pub from: BootTime,
    stages: &'a [u8],
    then: &'a [u8],
}

/// What a schedule says at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked<'a> {
    /// The line for HAProxy, without newline: always one that [`Reply::parse`] takes.
    pub line: &'a [u8],
    /// Until when it holds; `None` for the last line, which holds for ever.
    pub until: Option<BootTime>,
}

impl<'a> Schedule<'a> {
    /// Reads a whole state file.
    ///
    /// # Errors
    /// [`Refused::Malformed`] for anything that [`encode`] would not write, but that replies may be
    /// in any form that [`Reply::parse`] takes.
    pub fn decode(file: &'a [u8]) -> Result<Self, Refused> {
        if file.len() > MAX_FILE {
            return Err(Refused::Malformed);
        }
        Self::decode_lines(file).ok_or(Refused::Malformed)
    }

    fn decode_lines(file: &'a [u8]) -> Option<Self> {
        let (head, rest) = split_line(file)?;
        let name = head.strip_prefix(b"agentcheck 1 ".as_slice())?;
        if !ServiceName::is_name(name) {
            return None;
        }
        let (line, rest) = split_line(rest)?;
        let boot = line.strip_prefix(b"boot ".as_slice())?;
        if !BootId::is_id(boot) {
            return None;
        }
        let (line, stages) = split_line(rest)?;
        let from = time(line.strip_prefix(b"from ".as_slice())?)?;

        let mut last = from;
        let mut rest = stages;
        loop {
            let (line, after) = split_line(rest)?;
            if let Some(then) = line.strip_prefix(b"then ".as_slice()) {
                reply::check(then).ok()?;
                let stages = stages.get(..stages.len() - rest.len())?;
                return after.is_empty().then_some(Self {
                    name,
                    boot,
                    from,
                    stages,
                    then,
                });
            }
            let (until, reply) = split_stage(line)?;
            reply::check(reply).ok()?;
            if until <= last {
                return None;
            }
            last = until;
            rest = after;
        }
    }

    /// What is to be said at `now`: the reply of the first stage that has not ended, else the last
    /// line.
    ///
    /// # Errors
    /// [`Refused::Future`] where `now` is before the schedule was written.
    pub fn pick(&self, now: BootTime) -> Result<Picked<'a>, Refused> {
        if now < self.from {
            return Err(Refused::Future);
        }
        let mut rest = self.stages;
        while let Some((line, after)) = split_line(rest) {
            if let Some((until, line)) = split_stage(line)
                && now < until
            {
                return Ok(Picked {
                    line,
                    until: Some(until),
                });
            }
            rest = after;
        }
        Ok(Picked {
            line: self.then,
            until: None,
        })
    }

    /// Reads a state file and picks from it, for the service `name` on the boot `boot`.
    ///
    /// # Errors
    /// The first of the reasons of [`Refused`], in their order, that holds.
    pub fn pick_from(
        file: &'a [u8],
        name: &ServiceName,
        boot: &BootId,
        now: BootTime,
    ) -> Result<Picked<'a>, Refused> {
        let schedule = Self::decode(file)?;
        if schedule.name != name.as_bytes() {
            return Err(Refused::OtherName);
        }
        if schedule.boot != boot.as_bytes() {
            return Err(Refused::OtherBoot);
        }
        schedule.pick(now)
    }
}

/// The first line without its newline, and what follows it; `None` where there is no newline.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The end and the reply of an `until` line.
fn split_stage(line: &[u8]) -> Option<(BootTime, &[u8])> {
    let line = line.strip_prefix(b"until ".as_slice())?;
    let blank = line.iter().position(|byte| *byte == b' ')?;
    Some((time(line.get(..blank)?)?, line.get(blank + 1..)?))
}

/// A time in the one form in which it is written: digits without leading zeros that fit 64 bits.
fn time(digits: &[u8]) -> Option<BootTime> {
    canonical(digits).map(BootTime)
}

#[cfg(test)]
mod tests;
