//! What a command says, read as it comes and never waited for; of each stream no more than a bound is
//! kept, and of the errors only the end.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use std::fs;
use std::io::{self, Read};

/// How much is taken at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// One stream of a command.
pub(super) struct Output {
    /// The read end, until there is no more.
    pipe: Option<fs::File>,
    bytes: Vec<u8>,
    /// How much has come, in bytes.
    taken: usize,
    max_bytes: usize,
    /// Of how much the end is kept, in bytes.
    kept: usize,
}

impl Output {
    /// A stream of which all is kept; it is over with more than `max_bytes`.
    pub(super) fn whole(pipe: Option<impl Into<OwnedFd>>, max_bytes: usize) -> Self {
        Self::new(pipe.map(Into::into), max_bytes, max_bytes)
    }

    /// A stream of which the last `kept` bytes are kept; it is over with more than `max_bytes`.
    pub(super) fn end(pipe: Option<impl Into<OwnedFd>>, max_bytes: usize, kept: usize) -> Self {
        Self::new(pipe.map(Into::into), max_bytes, kept)
    }

    fn new(pipe: Option<OwnedFd>, max_bytes: usize, kept: usize) -> Self {
        // Of this end alone: the command's end goes on waiting as it should. A pipe that cannot be read
        // without waiting is not read at all; the kernel gives no reason for which that would happen.
        let pipe = pipe.filter(|pipe| rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).is_ok());
        Self {
            pipe: pipe.map(fs::File::from),
            bytes: Vec::new(),
            taken: 0,
            max_bytes,
            kept,
        }
    }

    /// What to watch for more to read, until there is no more.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// How much may come, in bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether more came than may come.
    pub(super) fn is_over(&self) -> bool {
        self.taken > self.max_bytes
    }

    /// Takes one piece of what there is; whether there was something, and there may be more.
    pub(super) fn read_more(&mut self) -> io::Result<bool> {
        let Some(pipe) = self.pipe.as_mut() else {
            return Ok(false);
        };
        let mut piece = [0; PIECE];
        let length = match pipe.read(&mut piece) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        if length == 0 {
            self.pipe = None;
            return Ok(false);
        }
        self.taken = self.taken.saturating_add(length);
        self.bytes
            .extend_from_slice(piece.get(..length).unwrap_or_default());
        // Not with every piece, or a flood would be moved over and over.
        if self.bytes.len() > self.kept.saturating_add(4 * PIECE) {
            self.bytes.drain(..self.bytes.len() - self.kept);
        }
        Ok(!self.is_over())
    }

    /// All that is kept.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The last line that is not blank; empty where there is none.
    pub(super) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or_default().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::PipeFlags;
    use std::io::Write;
    use std::thread;

    fn pipe() -> (OwnedFd, fs::File) {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        (reader, writer.into())
    }

    #[test]
    fn the_end_of_much_is_kept() {
        let (reader, mut writer) = pipe();
        let mut output = Output::end(Some(reader), usize::MAX, 10);
        assert!(!output.read_more().unwrap());
        for line in 0..10_000 {
            writeln!(writer, "line {line}").unwrap();
            output.read_more().unwrap();
            assert!(output.bytes.len() <= 10 + 5 * PIECE);
        }
        writeln!(writer, "\n \n").unwrap();
        drop(writer);
        assert!(output.read_more().unwrap());
        assert!(output.fd().is_some());
        // The child of another test may hold the writing end for a moment, until it has become another
        // program.
        while output.fd().is_some() {
            assert!(!output.read_more().unwrap());
            thread::yield_now();
        }
        assert_eq!(output.last_line(), "line 9999");
        assert!(!output.is_over());
    }

    #[test]
    fn more_than_the_bound_is_over() {
        let (reader, mut writer) = pipe();
        let mut output = Output::whole(Some(reader), 4);
        writer.write_all(b"four").unwrap();
        assert!(output.read_more().unwrap());
        assert!(!output.is_over());
        writer.write_all(b"!").unwrap();
        assert!(!output.read_more().unwrap());
        assert!(output.is_over());
    }
}
