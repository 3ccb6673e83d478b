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

use crate::decimal::{format_decimal, parse_canonical};
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
pub struct EncodedSchedule {
    bytes: [u8; MAX_FILE],
    len: usize,
}

impl EncodedSchedule {
    /// The whole file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl EncodedSchedule {
    fn push(&mut self, piece: &[u8]) -> fmt::Result {
        let end = self.len + piece.len();
        let slot = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        slot.copy_from_slice(piece);
        self.len = end;
        Ok(())
    }

    fn push_all(&mut self, pieces: &[&[u8]]) -> fmt::Result {
        pieces.iter().try_for_each(|piece| self.push(piece))
    }
}

/// Why a schedule cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It would have more than [`MAX_FILE`] bytes.
    TooLong,
    /// The stage with this index does not end after the one before it, or after `from`.
    NotIncreasing(usize),
    /// A reply in it has no word.
    NoWords,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the schedule has more than {MAX_FILE} bytes"),
            Self::NotIncreasing(index) => {
                write!(f, "stage {index} does not end after the one before it")
            }
            Self::NoWords => f.write_str("a reply without a word"),
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
) -> Result<EncodedSchedule, EncodeError> {
    let mut last = from;
    for (index, stage) in stages.iter().enumerate() {
        if stage.until <= last {
            return Err(EncodeError::NotIncreasing(index));
        }
        last = stage.until;
    }
    if then.has_no_words() || stages.iter().any(|stage| stage.reply.has_no_words()) {
        return Err(EncodeError::NoWords);
    }
    let mut file = EncodedSchedule {
        bytes: [0; MAX_FILE],
        len: 0,
    };
    push_lines(&mut file, name, boot, from, stages, then).map_err(|_| EncodeError::TooLong)?;
    Ok(file)
}

fn push_lines(
    file: &mut EncodedSchedule,
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
) -> fmt::Result {
    let mut buffer = [0; 20];
    file.push_all(&[
        b"agentcheck ",
        format_decimal(VERSION.into(), &mut buffer),
        b" ",
    ])?;
    file.push_all(&[name.as_bytes(), b"\nboot ", boot.as_bytes(), b"\nfrom "])?;
    file.push(format_decimal(from.0, &mut buffer))?;
    for stage in stages {
        let until = format_decimal(stage.until.0, &mut buffer);
        file.push_all(&[b"\nuntil ", until, b" "])?;
        stage.reply.write(|piece| file.push(piece))?;
    }
    file.push(b"\nthen ")?;
    then.write(|piece| file.push(piece))?;
    file.push(b"\n")
}

/// Why a state file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFileError {
    /// It is longer than [`MAX_FILE`], or not in the format from its first to its last byte.
    Malformed,
    /// It is of another service.
    OtherService,
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
pub struct ScheduledReply<'a> {
    /// The line for HAProxy, without newline: always one that [`Reply::parse`] takes.
    pub line: &'a [u8],
    /// Until when it holds; `None` for the last line, which holds for ever.
    pub until: Option<BootTime>,
}

impl<'a> Schedule<'a> {
    /// Reads a whole state file.
    ///
    /// # Errors
    /// [`StateFileError::Malformed`] for anything that [`encode`] would not write, but that replies may be
    /// in any form that [`Reply::parse`] takes.
    pub fn decode(file: &'a [u8]) -> Result<Self, StateFileError> {
        if file.len() > MAX_FILE {
            return Err(StateFileError::Malformed);
        }
        Self::decode_lines(file).ok_or(StateFileError::Malformed)
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
    /// [`StateFileError::Future`] where `now` is before the schedule was written.
    pub fn reply_at(&self, now: BootTime) -> Result<ScheduledReply<'a>, StateFileError> {
        if now < self.from {
            return Err(StateFileError::Future);
        }
        let mut rest = self.stages;
        while let Some((line, after)) = split_line(rest) {
            if let Some((until, line)) = split_stage(line)
                && now < until
            {
                return Ok(ScheduledReply {
                    line,
                    until: Some(until),
                });
            }
            rest = after;
        }
        Ok(ScheduledReply {
            line: self.then,
            until: None,
        })
    }

    /// Reads a state file and picks from it, for the service `name` on the boot `boot`.
    ///
    /// # Errors
    /// The first of the reasons of [`StateFileError`], in their order, that holds.
    pub fn current_reply(
        file: &'a [u8],
        name: &ServiceName,
        boot: &BootId,
        now: BootTime,
    ) -> Result<ScheduledReply<'a>, StateFileError> {
        let schedule = Self::decode(file)?;
        if schedule.name != name.as_bytes() {
            return Err(StateFileError::OtherService);
        }
        if schedule.boot != boot.as_bytes() {
            return Err(StateFileError::OtherBoot);
        }
        schedule.reply_at(now)
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
    parse_canonical(digits).map(BootTime)
}

#[cfg(test)]
mod tests;
