//! The output of a command, read as it arrives, without waiting. Each stream keeps at most a bound; the error
//! output keeps only its end.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use std::fs;
use std::io::{self, Read};

/// The size of one read, in bytes. It is on the stack of each source's thread, which stays resident.
const PIECE: usize = 4 * 1024;

/// One stream of a command.
pub(super) struct Output {
    /// The read end; `None` after the end of the stream.
    pipe: Option<fs::File>,
    bytes: Vec<u8>,
    /// How many bytes arrived.
    taken: usize,
    max_bytes: usize,
    /// How many bytes of the end are kept.
    kept: usize,
}

impl Output {
    /// A stream that is kept whole and may have at most `max_bytes`.
    pub(super) fn whole(pipe: Option<impl Into<OwnedFd>>, max_bytes: usize) -> Self {
        Self::new(pipe.map(Into::into), max_bytes, max_bytes)
    }

    /// A stream of at most `max_bytes`, of which the last `kept` bytes are kept.
    pub(super) fn end(pipe: Option<impl Into<OwnedFd>>, max_bytes: usize, kept: usize) -> Self {
        Self::new(pipe.map(Into::into), max_bytes, kept)
    }

    fn new(pipe: Option<OwnedFd>, max_bytes: usize, kept: usize) -> Self {
        // Only this end: the command's end stays blocking. A pipe that cannot be made non-blocking is not read;
        // the kernel has no reason to refuse.
        let pipe = pipe.filter(|pipe| rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).is_ok());
        Self {
            pipe: pipe.map(fs::File::from),
            bytes: Vec::new(),
            taken: 0,
            max_bytes,
            kept,
        }
    }

    /// The descriptor to poll for more output, until the end of the stream.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// The largest output, in bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether more arrived than allowed.
    pub(super) fn is_over(&self) -> bool {
        self.taken > self.max_bytes
    }

    /// Reads one piece; returns whether there may be more.
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
        // Not after every piece: a flood would be moved again and again.
        if self.bytes.len() > self.kept.saturating_add(4 * PIECE) {
            self.bytes.drain(..self.bytes.len() - self.kept);
        }
        Ok(!self.is_over())
    }

    /// Takes the kept bytes out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The kept bytes.
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
    fn end_of_a_long_output_is_kept() {
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
        // Another test's child may have the write end open until it executes its program.
        while output.fd().is_some() {
            assert!(!output.read_more().unwrap());
            thread::yield_now();
        }
        assert_eq!(output.last_line(), "line 9999");
        assert!(!output.is_over());
    }

    #[test]
    fn output_over_its_bound_is_reported() {
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
