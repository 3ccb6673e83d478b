//! The state file: a schedule of replies. The collector writes it in advance, so HAProxy gets the intended replies also
//! after the collector has died.
//!
//! ```text
//! agentcheck 1 web
//! boot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11
//! from 81234567890123
//! until 81264567890123 up 73% # app.rps=1890
//! then up 73% # stale
//! ```
//!
//! The reply of the first `until` line is current until its time, then that of the next `until` line. After the last one,
//! the reply of the `then` line is current, and never expires.
//!
//! Times are nanoseconds of `CLOCK_BOOTTIME`, and strictly increase. One space separates the words, and a newline ends
//! every line. A file has zero or more `until` lines, and one `then` line at its end. The decoder refuses any other file as
//! a whole, so a damaged file never gives a part of a reply.

use crate::decimal::{format_decimal, parse_canonical};
use crate::{BootId, BootTime, Reply, ServiceName, reply};
use core::fmt;

/// The largest length of a state file, in bytes: one page. It has room for about 25 stages with the longest descriptions.
pub const MAX_FILE: usize = 4096;

/// The version of the format, in the first line of the file. A responder reads its own version and the one before.
pub const VERSION: u8 = 1;

/// A reply and its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// When the reply expires. At this time, it is no longer current.
    pub until: BootTime,
    /// The reply. It contains a word.
    pub reply: Reply,
}

/// The content of a state file: 1 to [`MAX_FILE`] bytes.
#[derive(Clone)]
pub struct EncodedSchedule {
    bytes: [u8; MAX_FILE],
    len: usize,
}

impl EncodedSchedule {
    /// The bytes of the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl EncodedSchedule {
    /// Appends `piece`.
    ///
    /// # Errors
    /// If the file would have more than [`MAX_FILE`] bytes.
    fn push(&mut self, piece: &[u8]) -> fmt::Result {
        let end = self.len + piece.len();
        let slot = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        slot.copy_from_slice(piece);
        self.len = end;
        Ok(())
    }
}

/// Why a schedule cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The file would have more than [`MAX_FILE`] bytes.
    TooLong,
    /// The stage with this index, from 0, does not expire later than the stage before it, or than `from`.
    NotIncreasing(usize),
    /// A reply contains no word.
    NoWords,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the schedule would have more than {MAX_FILE} bytes"),
            Self::NotIncreasing(index) => {
                write!(
                    f,
                    "stage {index} does not expire later than the stage before it"
                )
            }
            Self::NoWords => f.write_str("a reply contains no word"),
        }
    }
}

/// Encodes the state file of the service `name`: from the time `from`, the replies of `stages` one after the other, then
/// the reply `then`, which never expires.
///
/// # Errors
/// If the times do not strictly increase, a reply contains no word, or the file would have more than [`MAX_FILE`] bytes.
pub fn encode(
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
) -> Result<EncodedSchedule, EncodeError> {
    let mut file = EncodedSchedule {
        bytes: [0; MAX_FILE],
        len: 0,
    };
    encode_to(name, boot, from, stages, then, |piece| file.push(piece))?;
    Ok(file)
}

/// Encodes as [`encode`] does, and passes the file to `push` in pieces. So it needs no buffer of [`MAX_FILE`] bytes.
///
/// # Errors
/// Those of [`encode`], and [`EncodeError::TooLong`] if `push` fails. Before an error, `push` may get a part of the file.
pub fn encode_to(
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
    mut push: impl FnMut(&[u8]) -> fmt::Result,
) -> Result<(), EncodeError> {
    let mut previous = from;
    for (index, stage) in stages.iter().enumerate() {
        if stage.until <= previous {
            return Err(EncodeError::NotIncreasing(index));
        }
        previous = stage.until;
    }
    if then.has_no_words() || stages.iter().any(|stage| stage.reply.has_no_words()) {
        return Err(EncodeError::NoWords);
    }
    let mut left = MAX_FILE;
    let mut push = |piece: &[u8]| {
        left = left.checked_sub(piece.len()).ok_or(fmt::Error)?;
        push(piece)
    };
    push_lines(&mut push, name, boot, from, stages, then).map_err(|_| EncodeError::TooLong)
}

/// Passes the lines of the file to `push`.
fn push_lines(
    push: &mut impl FnMut(&[u8]) -> fmt::Result,
    name: &ServiceName,
    boot: &BootId,
    from: BootTime,
    stages: &[Stage],
    then: &Reply,
) -> fmt::Result {
    let mut buffer = [0; 20];
    push(b"agentcheck ")?;
    push(format_decimal(VERSION.into(), &mut buffer))?;
    push(b" ")?;
    push(name.as_bytes())?;
    push(b"\nboot ")?;
    push(boot.as_bytes())?;
    push(b"\nfrom ")?;
    push(format_decimal(from.0, &mut buffer))?;
    for stage in stages {
        push(b"\nuntil ")?;
        push(format_decimal(stage.until.0, &mut buffer))?;
        push(b" ")?;
        stage.reply.write(&mut *push)?;
    }
    push(b"\nthen ")?;
    then.write(&mut *push)?;
    push(b"\n")
}

/// Why a state file is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFileError {
    /// It has more than [`MAX_FILE`] bytes, or a part of it is not in the format.
    Malformed,
    /// It belongs to another service.
    OtherService,
    /// It was written on another boot, so its times are meaningless on this one.
    OtherBoot,
    /// Its time `from` is later than now.
    Future,
}

/// The content of a state file in the right format. Its service, its boot and its times are not checked yet.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// The service that the file belongs to: a name that [`ServiceName::parse`] accepts.
    pub name: &'a [u8],
    /// The boot on which the file was written: an id that [`BootId::parse`] accepts.
    pub boot: &'a [u8],
    /// The time from which the first reply is current.
    pub from: BootTime,
    /// The `until` lines.
    stages: &'a [u8],
    /// The reply of the `then` line.
    then: &'a [u8],
}

/// The reply of a schedule at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledReply<'a> {
    /// The line for HAProxy, without its newline. [`Reply::parse`] accepts it.
    pub line: &'a [u8],
    /// When the reply expires, or `None` for the `then` line, which never expires.
    pub until: Option<BootTime>,
}

impl<'a> Schedule<'a> {
    /// Decodes a whole state file. Its replies may have any form that [`Reply::parse`] accepts. All other parts must have
    /// the form that [`encode`] writes.
    ///
    /// # Errors
    /// [`StateFileError::Malformed`]
    pub fn decode(file: &'a [u8]) -> Result<Self, StateFileError> {
        if file.len() > MAX_FILE {
            return Err(StateFileError::Malformed);
        }
        Self::decode_lines(file).ok_or(StateFileError::Malformed)
    }

    fn decode_lines(file: &'a [u8]) -> Option<Self> {
        let mut rest = file;
        let name = field(&mut rest, b"agentcheck 1 ").filter(|name| ServiceName::is_name(name))?;
        let boot = field(&mut rest, b"boot ").filter(|boot| BootId::is_id(boot))?;
        let from = time(field(&mut rest, b"from ")?)?;
        let stages = rest;
        let mut previous = from;
        loop {
            let length = stages.len() - rest.len();
            if let Some(then) = field(&mut rest, b"then ") {
                reply::check(then).ok()?;
                return rest.is_empty().then_some(Self {
                    name,
                    boot,
                    from,
                    stages: stages.get(..length)?,
                    then,
                });
            }
            let (until, reply) = stage(&mut rest)?;
            reply::check(reply).ok()?;
            if until <= previous {
                return None;
            }
            previous = until;
        }
    }

    /// The reply at `now`: that of the first stage that has not expired, or that of the `then` line.
    ///
    /// # Errors
    /// [`StateFileError::Future`] if `now` is earlier than `from`.
    pub fn reply_at(&self, now: BootTime) -> Result<ScheduledReply<'a>, StateFileError> {
        if now < self.from {
            return Err(StateFileError::Future);
        }
        let mut rest = self.stages;
        while let Some((until, line)) = stage(&mut rest) {
            if now < until {
                return Ok(ScheduledReply {
                    line,
                    until: Some(until),
                });
            }
        }
        Ok(ScheduledReply {
            line: self.then,
            until: None,
        })
    }

    /// The reply at `now` of the state file of the service `name`, on the boot `boot`.
    ///
    /// # Errors
    /// If the file is not valid. If several errors apply, it returns the first one in the order of [`StateFileError`].
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

/// Removes the first line from `rest`, and returns the text after `word`. Changes nothing if the line does not begin with
/// `word`.
#[inline(never)]
fn field<'a>(rest: &mut &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let line = rest.strip_prefix(word)?;
    let end = line.iter().position(|byte| *byte == b'\n')?;
    *rest = line.get(end + 1..)?;
    line.get(..end)
}

/// Removes an `until` line from `rest`, and returns its expiry and its reply.
fn stage<'a>(rest: &mut &'a [u8]) -> Option<(BootTime, &'a [u8])> {
    let line = field(rest, b"until ")?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    Some((time(line.get(..space)?)?, line.get(space + 1..)?))
}

/// A time: decimal digits without leading zeros that fit into 64 bits.
fn time(digits: &[u8]) -> Option<BootTime> {
    parse_canonical(digits).map(BootTime)
}

#[cfg(test)]
mod tests;
