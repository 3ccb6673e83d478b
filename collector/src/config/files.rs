//! The files of a configuration: the main file and the drop-ins `conf.d/*.toml` beside it. This module finds them,
//! checks their permissions and reads their text; it does not parse it.

use super::LoadError;
use super::masking::{masked, masked_lines};
use super::permissions::Trust;
use crate::sys::state_file::open_regular;
use rustix::fs::OFlags;
use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The directory of the drop-ins, beside the main file.
const DROP_INS: &str = "conf.d";

/// The greatest number of drop-ins.
const MAX_DROP_INS: usize = 1024;

/// The greatest size of all files together, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// A fault of a file itself, not of a line in it.
#[derive(Clone, Debug)]
pub(super) struct FileFault {
    pub(super) path: PathBuf,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

/// The text of a configuration, one file after the other, so that one offset is a place in any file.
#[derive(Clone, Debug, Default)]
pub struct Files {
    text: String,
    /// The same without secrets, for errors. Made when the first error needs it.
    shown: OnceLock<String>,
    /// Whether the files are of another program, in any format.
    is_foreign: bool,
    files: Vec<(PathBuf, Range<usize>)>,
    /// The offset of each line, in order, so that a finding costs a search by halves. Made when the first finding needs
    /// them.
    lines: OnceLock<Vec<usize>>,
    /// Findings about a file itself, each with the number of the file that it precedes in a report.
    pub(super) wrong: Vec<(usize, FileFault)>,
}

/// A place in a file, for people.
pub(super) struct Position<'f> {
    pub(super) file: &'f Path,
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// The whole line, without its end.
    pub(super) text: &'f str,
    /// Offset of the place within the line, in bytes.
    pub(super) offset: usize,
}

impl Files {
    /// A configuration of one file, which does not have to exist.
    #[must_use]
    pub fn one(path: &Path, text: &str) -> Self {
        let mut files = Self::default();
        files.push(path.to_owned(), text);
        files
    }

    /// A file of another program, in any format.
    #[must_use]
    pub fn foreign(path: &Path, text: &str) -> Self {
        Self {
            is_foreign: true,
            ..Self::one(path, text)
        }
    }

    fn push(&mut self, path: PathBuf, text: &str) {
        if !self.files.is_empty() {
            // No line is part of two files.
            self.text.push('\n');
        }
        self.shown.take();
        self.lines.take();
        let start = self.text.len();
        self.text.push_str(text);
        self.files.push((path, start..self.text.len()));
    }

    /// The text of all files as errors show it: without secrets.
    pub(super) fn shown(&self) -> &str {
        self.shown.get_or_init(|| {
            let mask = if self.is_foreign {
                masked_lines
            } else {
                masked
            };
            let each = self.files.iter().map(|(_, range)| range.clone());
            let texts = each.map(|range| mask(self.text.get(range).unwrap_or_default()));
            // One line end is between two files.
            texts.collect::<Vec<_>>().join("\n")
        })
    }

    /// The offset of each line. One line end is between two files.
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate();
            let ends = ends.filter(|(_, byte)| *byte == b'\n');
            let starts = ends.map(|(at, _)| at + 1);
            [0].into_iter().chain(starts).collect()
        })
    }

    /// The text of all files.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The files in their order, each with its range in the text.
    pub(super) fn each(&self) -> impl Iterator<Item = &(PathBuf, Range<usize>)> {
        self.files.iter()
    }

    /// The paths of the files, in their order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The number of the file that contains an offset, counted from 0.
    pub(super) fn number(&self, at: usize) -> usize {
        let after = self.files.partition_point(|(_, range)| range.start <= at);
        after.saturating_sub(1)
    }

    /// The place of an offset.
    pub(super) fn position(&self, at: usize) -> Position<'_> {
        let Some((file, range)) = self.files.get(self.number(at)) else {
            return Position {
                file: Path::new(""),
                line: 1,
                column: 1,
                text: "",
                offset: 0,
            };
        };
        let mut at = at.clamp(range.start, range.end);
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let lines = self.lines();
        let first = lines.partition_point(|start| *start < range.start);
        let next = lines.partition_point(|start| *start <= at);
        let start = match next.checked_sub(1) {
            Some(line) => lines.get(line).copied().unwrap_or(range.start),
            None => range.start,
        };
        let end = lines.get(next).copied().unwrap_or(range.end).min(range.end);
        let text = self.shown().get(start..end).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let before = self.text.get(start..at).unwrap_or_default();
        super::work::count(before.len());
        let characters = before.chars().count();
        Position {
            file,
            line: next.saturating_sub(first).max(1),
            column: characters + 1,
            text,
            // Masking keeps the place of each byte.
            offset: (at - start).min(text.len()),
        }
    }

    fn add_wrong(&mut self, path: &Path, wrong: &str, remedy: Option<&str>) {
        let fault = FileFault {
            path: path.to_owned(),
            message: wrong.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        self.wrong.push((self.files.len(), fault));
    }

    /// Adds a file or directory that cannot be read; `mode` lets its group read it.
    fn add_unreadable(&mut self, path: &Path, error: &io::Error, mode: &str) {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let shown = path.display();
        let remedy = denied.then(|| {
            format!("let the collector's group read it: chgrp agentcheck {shown} && chmod {mode} {shown}")
        });
        self.add_wrong(
            path,
            &format!("cannot read this: {error}"),
            remedy.as_deref(),
        );
    }

    /// Reads the main file, and the drop-ins beside it.
    ///
    /// # Errors
    /// The main file cannot be read. Errors of drop-ins are among the findings.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let mut files = Self::default();
        let mut trust = Trust::of_this_process();
        let unreadable = |error| LoadError::Unreadable(path.to_owned(), error);
        let mut room = MAX_BYTES;
        files.distrust(path, &mut trust);
        let file = open_regular(path, OFlags::empty()).map_err(unreadable)?;
        let text = read_text(file, &mut room).map_err(unreadable)?;
        files.push(path.to_owned(), &text);

        let directory = path.with_file_name(DROP_INS);
        if !files.distrust(&directory, &mut trust) {
            return Ok(files);
        }
        let names = match drop_ins(&directory) {
            Ok(names) => names,
            Err(error) => {
                files.add_unreadable(&directory, &error, "g+rx");
                return Ok(files);
            }
        };
        if names.len() > MAX_DROP_INS {
            let wrong = format!("more than {MAX_DROP_INS} drop-ins: the limit is {MAX_DROP_INS}");
            files.add_wrong(&directory, &wrong, None);
            return Ok(files);
        }
        for path in names {
            if !files.distrust(&path, &mut trust) {
                continue;
            }
            match open_regular(&path, OFlags::empty()).and_then(|file| read_text(file, &mut room)) {
                Ok(text) => files.push(path, &text),
                Err(error) => files.add_unreadable(&path, &error, "g+r"),
            }
        }
        Ok(files)
    }

    /// Checks who can write to a path, and reports faults. True if there is none.
    fn distrust(&mut self, path: &Path, trust: &mut Trust) -> bool {
        let doubts = trust.doubts(path);
        for doubt in &doubts {
            self.add_wrong(&doubt.path, &doubt.message, Some(&doubt.remedy));
        }
        doubts.is_empty()
    }
}

/// The drop-ins beside a main file; none if they cannot be listed.
#[must_use]
pub fn drop_ins_of(file: &Path) -> Vec<PathBuf> {
    drop_ins(&file.with_file_name(DROP_INS)).unwrap_or_default()
}

/// The drop-ins of a directory, in the byte order of their names; none if there is no directory.
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        // A link without a target is an error.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && directory.symlink_metadata().is_err() =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let is_meant = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.as_bytes();
        name.ends_with(b".toml") && !name.starts_with(b".")
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if is_meant(&entry) {
            names.push(entry.file_name());
        }
        if names.len() > MAX_DROP_INS {
            break;
        }
    }
    names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    Ok(names.iter().map(|name| directory.join(name)).collect())
}

/// The text of a file of at most `room` bytes; subtracts its size from `room`.
fn read_text(file: File, room: &mut u64) -> io::Result<String> {
    let wrong = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut bytes = Vec::new();
    file.take(*room + 1).read_to_end(&mut bytes)?;
    *room = u64::try_from(bytes.len())
        .ok()
        .and_then(|length| room.checked_sub(length))
        .ok_or_else(|| {
            wrong(format!(
                "the configuration is larger than {MAX_BYTES} bytes"
            ))
        })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("not UTF-8 from byte {at} on"))
    })
}

#[cfg(test)]
mod tests;
