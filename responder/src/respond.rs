//! Reads what an answer needs, state file, boot id, clock, and has `answer` decide. What one-shot and
//! accept loop have in common; nothing is opened here but these two files.

use crate::answer::{Answer, Fallback, Unread, Wanted, answer};
use crate::arguments::{Arguments, MAX_STATE_DIR};
use crate::name::Name;
use crate::sys::{self, Descriptor, Errno, Path};
use agentcheck_common::schedule::MAX_FILE;
use agentcheck_common::{BootId, BootTime, STATE_SUFFIX, ServiceName};

/// Room for a state file and one byte more, by which one that is too long is known.
pub type Buffer = [u8; MAX_FILE + 1];

/// A buffer with nothing in it.
pub const EMPTY: Buffer = [0; MAX_FILE + 1];

/// Who answers.
#[derive(Debug)]
pub struct Respondent<'a> {
    state_dir: &'a [u8],
    fallback: Option<Fallback<'a>>,
    boot: Option<BootId>,
    spare: Option<Spare>,
}

/// A descriptor that is given up when there is none left to open a file with, and taken back afterwards.
#[derive(Clone, Copy, Debug)]
struct Spare {
    of: Descriptor,
    held: Option<Descriptor>,
}

impl<'a> Respondent<'a> {
    /// One that answers from this directory and with this fallback.
    #[must_use]
    pub fn new(arguments: &Arguments<'a>) -> Self {
        Self {
            state_dir: arguments.state_dir,
            fallback: arguments.fallback,
            boot: None,
            spare: None,
        }
    }

    /// Keeps a duplicate of `of`, which has to stay open, in hand for when all descriptors are taken. For
    /// the accept loop, whose own clients can take them; without it the answer is `no-descriptor`.
    pub fn keep_spare(&mut self, of: Descriptor) {
        let held = sys::duplicate(of).ok();
        self.spare = Some(Spare { of, held });
    }

    /// Closes it again.
    pub fn give_up_spare(&mut self) {
        if let Some(held) = self.spare.take().and_then(|spare| spare.held) {
            sys::close(held);
        }
    }

    /// The answer, and when it was given.
    pub fn answer(&mut self, wanted: &Wanted<'_>, buffer: &mut Buffer) -> (Answer, BootTime) {
        let file = match wanted {
            Wanted::Configured(name) | Wanted::Asked(name) => self.read_state(*name, buffer),
            Wanted::Nobody(_) => Err(Unread::Absent),
        };
        // Once read it stays, as it does for the kernel. Not looked for where there is nothing to compare
        // it with.
        if self.boot.is_none() && file.is_ok() {
            self.boot = self.read_boot_id();
        }
        // After the file, or one just written would seem to be of the future.
        let now = sys::boot_time();
        let answer = answer(wanted, file, self.boot.as_ref(), now, self.fallback);
        (answer, now)
    }

    fn read_state<'b>(
        &mut self,
        name: Name<'_>,
        buffer: &'b mut Buffer,
    ) -> Result<&'b [u8], Unread> {
        let mut room = [0; MAX_PATH];
        let path = state_path(self.state_dir, name, &mut room).ok_or(Unread::Absent)?;
        let length = self.read_file(path, None, buffer)?;
        buffer.get(..length).ok_or(Unread::TooLong)
    }

    fn read_boot_id(&mut self) -> Option<BootId> {
        let mut text = [0; BOOT_ID_LENGTH as usize + 1];
        // The kernel's file tells no length, but gives an id and a newline in one read. There is room for
        // one byte more, by which something longer would be known.
        let length = self.read_file(Path::new(BOOT_ID)?, Some(BOOT_ID_LENGTH), &mut text);
        BootId::parse(text.get(..length.ok()?)?)
    }

    /// Reads a file into `buffer`, giving up the spare descriptor if there is no other; its length.
    #[inline(never)]
    fn read_file(
        &mut self,
        path: Path<'_>,
        size: Option<u64>,
        buffer: &mut [u8],
    ) -> Result<usize, Unread> {
        let mut given_up = false;
        loop {
            let result = open_and_read(path, size, buffer);
            let Some(spare) = &mut self.spare else {
                return result;
            };
            match (&result, spare.held.take()) {
                (Err(Unread::NoDescriptor), Some(held)) if !given_up => {
                    sys::close(held);
                    given_up = true;
                }
                (_, Some(held)) => {
                    spare.held = Some(held);
                    return result;
                }
                // Given up just now, or lost to somebody else an earlier time.
                (_, None) => {
                    spare.held = sys::duplicate(spare.of).ok();
                    return result;
                }
            }
        }
    }
}

/// [`BootId::PATH`] for the kernel.
const BOOT_ID: &[u8] = b"/proc/sys/kernel/random/boot_id\0";

/// An id and a newline.
const BOOT_ID_LENGTH: u64 = BootId::LEN as u64 + 1;

/// Directory, slash, name, suffix, NUL.
const MAX_PATH: usize = MAX_STATE_DIR + 1 + ServiceName::MAX + STATE_SUFFIX.len() + 1;

/// `DIR/NAME.state`; `None` where the directory's name is longer than it may be.
fn state_path<'r>(
    directory: &[u8],
    name: Name<'_>,
    room: &'r mut [u8; MAX_PATH],
) -> Option<Path<'r>> {
    let mut length = 0;
    for part in [
        directory,
        b"/",
        name.as_bytes(),
        STATE_SUFFIX.as_bytes(),
        b"\0",
    ] {
        let end = length + part.len();
        room.get_mut(length..end)?.copy_from_slice(part);
        length = end;
    }
    Path::new(room.get(..length)?)
}

fn open(path: Path<'_>) -> Result<Descriptor, Unread> {
    sys::open_to_read(path).map_err(|error| match error {
        Errno::NOENT => Unread::Absent,
        Errno::MFILE | Errno::NFILE => Unread::NoDescriptor,
        Errno(other) => Unread::Error(other),
    })
}

/// Where no size is known, the file has to be a regular one that fits a state file's length.
fn open_and_read(path: Path<'_>, size: Option<u64>, buffer: &mut [u8]) -> Result<usize, Unread> {
    let file = open(path)?;
    let length = match size.map_or_else(|| state_file_size(file), Ok) {
        Ok(size) => read_whole(buffer, size, |room| sys::read(file, room)),
        Err(unread) => Err(unread),
    };
    sys::close(file);
    length
}

fn state_file_size(file: Descriptor) -> Result<u64, Unread> {
    match sys::status(file) {
        Ok(status) if !status.is_regular_file() => Err(Unread::NotAFile),
        Ok(status) if status.size > MAX_FILE as u64 => Err(Unread::TooLong),
        Ok(status) => Ok(status.size),
        Err(Errno(error)) => Err(Unread::Error(error)),
    }
}

/// Reads until `size` bytes are there, the end comes, or the buffer is full; how many it became. At most
/// one more read than there are bytes in the buffer, however little each one brings.
fn read_whole(
    buffer: &mut [u8],
    size: u64,
    mut read: impl FnMut(&mut [u8]) -> sys::Result<usize>,
) -> Result<usize, Unread> {
    let mut length = 0;
    for _ in 0..=buffer.len() {
        let room = buffer.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            break;
        }
        match read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(Errno(error)) => return Err(Unread::Error(error)),
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
    fn the_kernels_file_is_the_one_that_is_documented() {
        assert_eq!(BOOT_ID, [BootId::PATH.as_bytes(), b"\0"].concat());
    }

    #[test]
    fn paths() {
        let name = [b'n'; ServiceName::MAX];
        let name = Name::parse(&name).unwrap();
        let mut room = [0; MAX_PATH];
        let directory = [b'd'; MAX_STATE_DIR];
        let path = state_path(&directory, name, &mut room).unwrap();
        assert_eq!(path.as_bytes().len(), MAX_PATH - 1);
        assert!(path.as_bytes().ends_with(b"nn.state"));
        assert!(state_path(&[b'd'; MAX_STATE_DIR + 1], name, &mut room).is_none());
    }

    /// What a read brings that is asked for more than `at_most` bytes of `file`, after interruptions.
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
    fn short_reads_make_no_half_files() {
        let file: Vec<u8> = (0..1000)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        for at_most in [1, 2, 3, 100, 999, 1000, 5000] {
            assert_eq!(in_small_reads(&file, at_most, 1000), file);
            // It was cut after its length was asked for: what there is.
            assert_eq!(in_small_reads(&file, at_most, 2000), file);
        }
        // It has grown since: more than was to be expected, never less.
        assert!(in_small_reads(&file, 1000, 10).len() >= 10);
        assert_eq!(
            in_small_reads(&[7; 9000], 9000, u64::MAX).len(),
            MAX_FILE + 1
        );
    }

    #[test]
    fn an_error_half_way_is_an_error() {
        let mut buffer = [0; 10];
        let mut calls = 0;
        let result = read_whole(&mut buffer, 10, |_| {
            calls += 1;
            if calls == 1 { Ok(4) } else { Err(Errno(5)) }
        });
        assert_eq!(result, Err(Unread::Error(5)));
    }
}
