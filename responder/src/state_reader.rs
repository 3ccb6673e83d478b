//! Reads the state file, the boot id and the clock, and composes the answer with [`reply::compose`]. The one-shot and
//! the accept loop share this module. It opens no other file.

use crate::arguments::{Arguments, MAX_STATE_DIR};
use crate::http::response;
use crate::http::{Content, Status};
use crate::name::NameRef;
use crate::reply::{self, Reason, Target};
use crate::request::Reaction;
use crate::sys::{self, Descriptor, Errno, Path};
use crate::text::Text;
use agentcheck_common::schedule::MAX_FILE;
use agentcheck_common::{BootId, BootTime, STATE_SUFFIX, ServiceName};

/// Room for a state file and one more byte. A file that fills it is too long.
pub type Buffer = [u8; MAX_FILE + 1];

/// A buffer of zeroes.
pub const EMPTY: Buffer = [0; MAX_FILE + 1];

/// Reads state files from one directory.
#[derive(Debug)]
pub struct StateReader<'a> {
    arguments: &'a Arguments<'a>,
    boot: Option<BootId>,
    spare: Option<Spare>,
}

/// The result of composing the bytes to send.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Why the answer does not come from a valid state file; `None` if it does.
    pub reason: Option<Reason>,
    /// When the answer was composed.
    pub now: BootTime,
    /// The document to send after the bytes.
    pub document: Option<OpenDocument>,
}

/// A document that is being sent. The owner closes the file.
#[derive(Clone, Copy, Debug)]
pub struct OpenDocument {
    /// The open file.
    pub file: Descriptor,
    /// Its size in bytes.
    pub size: u64,
    /// How many bytes have been sent.
    pub sent: u64,
}

/// Closes the file of a document, if there is one.
pub fn close_document(document: Option<OpenDocument>) {
    if let Some(document) = document {
        sys::close(document.file);
    }
}

/// The result of sending a piece of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The document has further bytes.
    More,
    /// The whole document has been sent, or the file is shorter than expected.
    Done,
    /// There is no room to send.
    Full,
    /// The connection is broken or the file cannot be read.
    Broken,
}

impl OpenDocument {
    /// Sends the next piece, of at most 4096 bytes, with `send`.
    pub fn send_piece(
        &mut self,
        buffer: &mut Buffer,
        send: impl FnOnce(&[u8]) -> sys::Result<usize>,
    ) -> Piece {
        let left = usize::try_from(self.size - self.sent).unwrap_or(usize::MAX);
        let room = buffer.get_mut(..left.min(MAX_FILE)).unwrap_or_default();
        let count = match sys::read_at(self.file, room, self.sent) {
            Ok(0) => return Piece::Done,
            Ok(count) => count,
            Err(_) => return Piece::Broken,
        };
        match send(room.get(..count).unwrap_or_default()) {
            Ok(count) => {
                self.sent += count as u64;
                if self.sent >= self.size {
                    Piece::Done
                } else {
                    Piece::More
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Piece::Full,
            Err(_) => Piece::Broken,
        }
    }
}

/// A reserved descriptor. The reader closes it when no other descriptor is left to open a file with, and takes it
/// back afterwards.
#[derive(Clone, Copy, Debug)]
struct Spare {
    /// The descriptor that is duplicated.
    of: Descriptor,
    /// The duplicate; `None` while it is closed.
    held: Option<Descriptor>,
}

impl<'a> StateReader<'a> {
    /// A reader for the directory and the fallback of `arguments`.
    #[must_use]
    pub fn new(arguments: &'a Arguments<'a>) -> Self {
        Self {
            arguments,
            boot: None,
            spare: None,
        }
    }

    /// Reserves a descriptor by duplicating `of`, which must stay open. The reader uses it when all others are in use: the
    /// clients of an accept loop can use up the descriptors. Without it, the answer would be `no-descriptor`.
    pub fn reserve_spare(&mut self, of: Descriptor) {
        let held = sys::duplicate(of).ok();
        self.spare = Some(Spare { of, held });
    }

    /// Closes the reserved descriptor.
    pub fn release_spare(&mut self) {
        if let Some(held) = self.spare.take().and_then(|spare| spare.held) {
            sys::close(held);
        }
    }

    /// Composes the bytes to send for `reaction` in `out`.
    pub fn answer(
        &mut self,
        reaction: &Reaction<'_>,
        buffer: &mut Buffer,
        out: &mut Text,
    ) -> Outcome {
        let mut content = reaction.content;
        let mut document = None;
        if let Some(name) = content.and_then(Content::document) {
            match self.open_document(name) {
                Ok(opened) => document = Some(opened),
                Err(Reason::ABSENT) => content = Some(Content::Error(Status::NotFound)),
                Err(_) => content = Some(Content::Error(Status::ServiceUnavailable)),
            }
        }
        let target = &reaction.target;
        let file = match target {
            Target::Configured(name) | Target::FromClient(name) => self.read_state(*name, buffer),
            Target::Unnamed(_) => Err(Reason::NO_NAME),
        };
        let file = file.map(|length| buffer.get(..length).unwrap_or_default());
        // The boot id never changes while the process lives. It is not needed without a state file.
        if self.boot.is_none() && file.is_ok() {
            self.boot = self.read_boot_id();
        }
        // After reading the file: a file written in between would appear to come from the future.
        let now = sys::boot_time();
        let answer = reply::compose(
            target,
            file,
            self.boot.as_ref(),
            now,
            self.arguments.fallback,
        );
        out.truncate(0);
        match content {
            None => answer.push_line(out),
            Some(content) => {
                let size = document.map_or(0, |document: OpenDocument| document.size);
                response::compose(
                    content,
                    reaction.has_body,
                    &answer,
                    size,
                    &self.arguments.http,
                    out,
                );
            }
        }
        if !reaction.has_body {
            close_document(document.take());
        }
        Outcome {
            reason: answer.reason,
            now,
            document,
        }
    }

    #[inline(never)]
    fn open_document(&self, name: &[u8]) -> Result<OpenDocument, Reason> {
        let mut room = Text::EMPTY;
        let path = self.path(name, b"", &mut room).ok_or(Reason::ABSENT)?;
        let file = sys::open_to_read(path)?;
        match regular_file_size(file, Content::MAX_DOCUMENT) {
            Ok(size) => Ok(OpenDocument {
                file,
                size,
                sent: 0,
            }),
            Err(error) => {
                sys::close(file);
                Err(error)
            }
        }
    }

    // Not inlined: the path would make the caller's stack frame large, and its instructions long.
    #[inline(never)]
    fn read_state(&mut self, name: NameRef<'_>, buffer: &mut Buffer) -> Result<usize, Reason> {
        let mut room = Text::EMPTY;
        let path = self.path(name.as_bytes(), STATE_SUFFIX.as_bytes(), &mut room);
        self.read_file(path.ok_or(Reason::ABSENT)?, None, buffer)
    }

    #[inline(never)]
    fn read_boot_id(&mut self) -> Option<BootId> {
        let mut text = [0; BOOT_ID_LENGTH as usize + 1];
        // The kernel's file has no length, but returns the id and a newline in one read. If the additional byte is read,
        // too, the text is longer than an id.
        let length = self.read_file(Path::new(BOOT_ID)?, Some(BOOT_ID_LENGTH), &mut text);
        BootId::parse(text.get(..length.ok()?)?)
    }

    /// Reads a file into `buffer` and returns its length. Uses the spare descriptor if there is no other.
    #[inline(never)]
    fn read_file(
        &mut self,
        path: Path<'_>,
        size: Option<u64>,
        buffer: &mut [u8],
    ) -> Result<usize, Reason> {
        let mut result = open_and_read(path, size, buffer);
        let Some(spare) = &mut self.spare else {
            return result;
        };
        if result.is_err_and(|reason| reason.index() == Reason::NO_DESCRIPTOR.index())
            && let Some(held) = spare.held.take()
        {
            sys::close(held);
            result = open_and_read(path, size, buffer);
        }
        // Also if an earlier call could not duplicate it.
        if spare.held.is_none() {
            spare.held = sys::duplicate(spare.of).ok();
        }
        result
    }

    /// The path of the file in the state directory whose name is `stem` and `suffix`, or `None` if the path is too long.
    fn path<'r>(&self, stem: &[u8], suffix: &[u8], room: &'r mut Text) -> Option<Path<'r>> {
        for part in [self.arguments.state_dir, b"/", stem, suffix, b"\0"] {
            room.push(part);
        }
        Path::new(room.as_bytes())
    }
}

/// [`BootId::PATH`] as a C string.
const BOOT_ID: &[u8] = b"/proc/sys/kernel/random/boot_id\0";

/// An id and a newline.
const BOOT_ID_LENGTH: u64 = BootId::LEN as u64 + 1;

// Directory, slash, name, suffix and NUL always fit.
const _: () =
    assert!(MAX_STATE_DIR + "/".len() + ServiceName::MAX + STATE_SUFFIX.len() < Text::SIZE);

/// Reads a file of the given size. Without a size, the file must be regular and not longer than a state file.
#[inline(never)]
fn open_and_read(path: Path<'_>, size: Option<u64>, buffer: &mut [u8]) -> Result<usize, Reason> {
    let file = sys::open_to_read(path)?;
    let size = size.map_or_else(|| regular_file_size(file, MAX_FILE as u64), Ok);
    let length = size.and_then(|size| read_whole(buffer, size, |room| sys::read(file, room)));
    sys::close(file);
    length
}

/// The size of a regular file of at most `limit` bytes.
fn regular_file_size(file: Descriptor, limit: u64) -> Result<u64, Reason> {
    let status = sys::status(file)?;
    if !status.is_regular_file() {
        return Err(Reason::NOT_A_FILE);
    }
    if status.size > limit {
        return Err(Reason::TOO_LONG);
    }
    Ok(status.size)
}

/// Reads until `size` bytes have been read, the file ends, or the buffer is full. Returns the number of bytes. For a buffer
/// of N bytes, it calls `read` at most N + 1 times.
fn read_whole(
    buffer: &mut [u8],
    size: u64,
    mut read: impl FnMut(&mut [u8]) -> sys::Result<usize>,
) -> Result<usize, Reason> {
    let mut length = 0;
    for _ in 0..buffer.len() + 1 {
        let room = buffer.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            break;
        }
        match read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if length as u64 >= size {
            break;
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_path_is_the_documented_one() {
        assert_eq!(BOOT_ID, [BootId::PATH.as_bytes(), b"\0"].concat());
    }

    #[test]
    fn longest_path_fits_and_a_longer_one_is_refused() {
        let directory = [b'd'; Text::SIZE];
        let mut arguments = Arguments::defaults();
        for (length, fits) in [(MAX_STATE_DIR, true), (Text::SIZE - 3, false)] {
            arguments.state_dir = &directory[..length];
            let mut room = Text::EMPTY;
            let path = StateReader::new(&arguments).path(b"web", b".state", &mut room);
            let path = path.map(|path| path.as_bytes().len());
            assert_eq!(path, fits.then_some(length + "/web.state".len()));
        }
    }

    /// The content of `file` read in pieces of `at_most` bytes, with interruptions.
    fn in_small_reads(file: &[u8], at_most: usize, size: u64) -> Vec<u8> {
        let mut buffer = [0; MAX_FILE + 1];
        let mut at = 0;
        let mut interrupted = false;
        let length = read_whole(&mut buffer, size, |room| {
            interrupted = !interrupted && at % 7 == 0;
            if interrupted {
                return Err(Errno::INTR);
            }
            let count = at_most.min(room.len()).min(file.len() - at);
            room[..count].copy_from_slice(&file[at..at + count]);
            at += count;
            Ok(count)
        });
        buffer[..length.unwrap()].to_vec()
    }

    #[test]
    fn short_reads_give_the_whole_file() {
        let file: Vec<u8> = (0..1000)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        for at_most in [1, 2, 3, 100, 999, 1000, 5000] {
            assert_eq!(in_small_reads(&file, at_most, 1000), file);
            // The file was truncated after fstat: the result is what is left.
            assert_eq!(in_small_reads(&file, at_most, 2000), file);
        }
        // The file has grown after fstat: the result is never shorter than the expected size.
        assert!(in_small_reads(&file, 1000, 10).len() >= 10);
        assert_eq!(
            in_small_reads(&[7; 9000], 9000, u64::MAX).len(),
            MAX_FILE + 1
        );
    }

    #[test]
    fn read_error_after_the_first_read_is_an_error() {
        let mut buffer = [0; 10];
        let mut calls = 0;
        let result = read_whole(&mut buffer, 10, |_| {
            calls += 1;
            if calls == 1 { Ok(4) } else { Err(Errno(5)) }
        });
        assert_eq!(result, Err(Reason(5)));
    }
}
