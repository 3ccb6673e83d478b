//! The files of a configuration: the one that is named, and the drop-ins `conf.d/*.toml` beside it. Which
//! they are, that nobody else may write to them, and their text; nothing of what it means.

use super::LoadError;
use super::permissions::Trust;
use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where drop-ins are: the directory of this name beside the file.
const DROP_INS: &str = "conf.d";

/// How many drop-ins there may be.
const MAX_DROP_INS: usize = 1024;

/// How many bytes all files together may have.
const MAX_BYTES: u64 = 16 << 20;

/// A fault of a file itself, not of a line in it.
#[derive(Clone, Debug)]
pub(super) struct FileFault {
    pub(super) path: PathBuf,
    pub(super) what: String,
    pub(super) remedy: Option<String>,
}

/// The text of a configuration, one file after the other, so that one number says a place in any of them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    text: String,
    files: Vec<(PathBuf, Range<usize>)>,
    /// What is wrong with files as such: nobody's line. Each with the number of the file before which it is
    /// told.
    pub(super) wrong: Vec<(usize, FileFault)>,
}

impl Files {
    /// A configuration of one file, which need not exist.
    #[must_use]
    pub fn one(path: &Path, text: &str) -> Self {
        let mut files = Self::default();
        files.push(path.to_owned(), text);
        files
    }

    fn push(&mut self, path: PathBuf, text: &str) {
        if !self.files.is_empty() {
            // No line is part of two files.
            self.text.push('\n');
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.files.push((path, start..self.text.len()));
    }

    /// All of it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The files, in their order, with where in the text they are.
    pub(super) fn each(&self) -> impl Iterator<Item = &(PathBuf, Range<usize>)> {
        self.files.iter()
    }

    /// The paths of the files, in their order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The number of the file that has a place, counted from 0.
    pub(super) fn number(&self, at: usize) -> usize {
        let after = self.files.partition_point(|(_, range)| range.start <= at);
        after.saturating_sub(1)
    }

    /// The file that has a place, its text, and where that begins.
    pub(super) fn of(&self, at: usize) -> (&Path, &str, usize) {
        match self.files.get(self.number(at)) {
            Some((path, range)) => {
                let text = self.text.get(range.clone()).unwrap_or_default();
                (path, text, range.start)
            }
            None => (Path::new(""), "", 0),
        }
    }

    fn add_wrong(&mut self, path: &Path, wrong: &str, remedy: Option<&str>) {
        let fault = FileFault {
            path: path.to_owned(),
            what: wrong.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        self.wrong.push((self.files.len(), fault));
    }

    /// Reads a file, and the drop-ins beside it.
    ///
    /// # Errors
    /// Where the file itself cannot be read; what is wrong with the others is among the findings.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let mut files = Self::default();
        let mut trust = Trust::of_this_process();
        let unreadable = |error| LoadError::Unreadable(path.to_owned(), error);
        let mut room = MAX_BYTES;
        files.distrust(path, &mut trust);
        let file = open_regular(path).map_err(unreadable)?;
        let text = read_text(file, &mut room).map_err(unreadable)?;
        files.push(path.to_owned(), &text);

        let directory = path.with_file_name(DROP_INS);
        if !files.distrust(&directory, &mut trust) {
            return Ok(files);
        }
        let names = match drop_ins(&directory) {
            Ok(names) => names,
            Err(error) => {
                files.add_wrong(&directory, &format!("cannot be read: {error}"), None);
                return Ok(files);
            }
        };
        if names.len() > MAX_DROP_INS {
            let wrong = format!("there are more than {MAX_DROP_INS} files in it");
            files.add_wrong(&directory, &wrong, None);
            return Ok(files);
        }
        for path in names {
            if !files.distrust(&path, &mut trust) {
                continue;
            }
            match open_regular(&path).and_then(|file| read_text(file, &mut room)) {
                Ok(text) => files.push(path, &text),
                Err(error) => files.add_wrong(&path, &format!("cannot be read: {error}"), None),
            }
        }
        Ok(files)
    }

    /// Looks who may write to a path, and says what is wrong with that; whether nothing is.
    fn distrust(&mut self, path: &Path, trust: &mut Trust) -> bool {
        let doubts = trust.look(path);
        for doubt in &doubts {
            self.add_wrong(&doubt.path, &doubt.what, Some(&doubt.remedy));
        }
        doubts.is_empty()
    }
}

/// The drop-ins of a directory, in the order of their names' bytes; none where there is no directory.
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        // A link that leads nowhere is there, too.
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

/// Opens what has to be a regular file: a FIFO would be waited for.
fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        let wrong = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
    }
    File::open(path)
}

/// The text of a file, of at most `room` bytes, which it takes away from that.
fn read_text(file: File, room: &mut u64) -> io::Result<String> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    file.take(*room + 1).read_to_end(&mut bytes)?;
    *room = u64::try_from(bytes.len())
        .ok()
        .and_then(|length| room.checked_sub(length))
        .ok_or_else(|| wrong(format!("a configuration has at most {MAX_BYTES} bytes")))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("it is not UTF-8 from byte {at} on"))
    })
}

#[cfg(test)]
mod tests;
