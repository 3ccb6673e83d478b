//! The files of overrides, in `overrides/` of the data directory: `NAME.override` for a service,
//! `@all.override` for all, `NAME.lift` and `@all.lift`. No service can be called `@all`.
//!
//! Who may set an override is who may write to the directory. What stands in it is read without following
//! links, regular files only, and bounded; it is written readable for the collector whatever the umask is.

use super::{Lift, Override, VERSION};
use crate::state_file::{read_bounded, replace};
use fs2::FileExt;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory, below the data directory.
pub const DIRECTORY: &str = "overrides";

/// What stands for all services where a name is expected.
pub const ALL: &str = "@all";

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The most files that are looked at.
const MAX_FILES: usize = 10_000;

/// How long a command waits for another one that is at work on the same directory.
const PATIENCE: Duration = Duration::from_secs(5);

/// Readable for the collector, which is another user.
const MODE: u32 = 0o644;

const OVERRIDE: &str = ".override";
const LIFT: &str = ".lift";

/// Everything that stands in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The overrides, by the name of the service, or [`ALL`].
    pub overrides: BTreeMap<String, Override>,
    /// The lifts, in the same way.
    pub lifts: BTreeMap<String, Lift>,
    /// What could not be used, and why: one line each.
    pub faults: Vec<String>,
}

/// The directory of a data directory.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join(DIRECTORY)
}

/// Reads all of a directory. One that is not there has nothing in it.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read(directory: &Path) -> io::Result<Stored> {
    let mut stored = Stored::default();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stored),
        Err(error) => return Err(error),
    };
    for entry in entries.take(MAX_FILES) {
        let file = entry?.file_name();
        let Some(file) = file.to_str() else { continue };
        if file.starts_with('.') {
            continue;
        }
        let found = match (file.strip_suffix(OVERRIDE), file.strip_suffix(LIFT)) {
            (Some(name), _) => read_override(directory, name).map(|found| {
                if let Some(found) = found {
                    stored.overrides.insert(name.to_owned(), found);
                }
            }),
            (_, Some(name)) => read_lift(directory, name).map(|found| {
                if let Some(found) = found {
                    stored.lifts.insert(name.to_owned(), found);
                }
            }),
            (None, None) => Ok(()),
        };
        if let Err(error) = found {
            let path = directory.join(file);
            stored.faults.push(format!("{}: {error}", path.display()));
        }
    }
    Ok(stored)
}

/// The override of a service, or of all; none where there is none.
///
/// # Errors
/// Where there is one that cannot be used.
pub fn read_override(directory: &Path, name: &str) -> io::Result<Option<Override>> {
    let path = directory.join(format!("{name}{OVERRIDE}"));
    let Some((content, owner)) = content(&path)? else {
        return Ok(None);
    };
    let mut found: Override = serde_json::from_slice(&content)?;
    if let Some(fault) = found.fault() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    found.by = user(owner);
    Ok(Some(found))
}

fn read_lift(directory: &Path, name: &str) -> io::Result<Option<Lift>> {
    let path = directory.join(format!("{name}{LIFT}"));
    let Some((content, _)) = content(&path)? else {
        return Ok(None);
    };
    let lift: Lift = serde_json::from_slice(&content)?;
    if lift.version != VERSION {
        let fault = format!("version {}, this program knows {VERSION}", lift.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    Ok(Some(lift))
}

/// What stands in a file, and who owns it.
fn content(path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
    let content = match read_bounded(path, MAX_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if content.len() > MAX_BYTES {
        let fault = format!("more than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
    }
    // Replaced meanwhile, it is of the one who replaced it; the collector reads again then.
    let owner = path.symlink_metadata()?.uid();
    Ok(Some((content, owner)))
}

/// The name of a user, or the number where it has none on this host.
#[must_use]
pub fn user(id: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&passwd, id).unwrap_or_else(|| id.to_string())
}

fn named(passwd: &str, id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// The directory, locked against other commands: what is read and what is written then belong together.
#[derive(Debug)]
pub struct Locked {
    directory: PathBuf,
    _lock: File,
}

/// Locks a directory, waiting a while for others.
///
/// # Errors
/// Where it is not there, cannot be written to, or is locked by another for too long.
pub fn lock(directory: &Path) -> io::Result<Locked> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = directory.join(".lock");
    let mode = Mode::from_raw_mode(0o660);
    let file = File::from(rustix::fs::open(&path, flags, mode)?);
    // For the group of the directory, whatever the umask is. Another's file has its rights already.
    let _ = rustix::fs::fchmod(&file, mode);
    let patience = Instant::now() + PATIENCE;
    loop {
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => break,
            Err(error) if error.kind() != fs2::lock_contended_error().kind() => return Err(error),
            Err(_) if Instant::now() >= patience => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("another command holds {}", path.display()),
                ));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(Locked {
        directory: directory.to_owned(),
        _lock: file,
    })
}

impl Locked {
    /// The override that stands.
    ///
    /// # Errors
    /// Where there is one that cannot be used.
    pub fn read(&self, name: &str) -> io::Result<Option<Override>> {
        read_override(&self.directory, name)
    }

    /// Puts an override in the place of the one that stands.
    ///
    /// # Errors
    /// Those of writing; the old one stands then.
    pub fn set(&self, name: &str, new: &Override) -> io::Result<()> {
        let content = serde_json::to_vec(new)?;
        replace(
            &self.directory,
            &format!("{name}{OVERRIDE}"),
            MODE,
            &content,
        )
    }

    /// Takes an override away; whether there was one.
    ///
    /// # Errors
    /// Those of removing.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match std::fs::remove_file(self.directory.join(format!("{name}{OVERRIDE}"))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets a lift.
    ///
    /// # Errors
    /// Those of writing.
    pub fn lift(&self, name: &str, lift: &Lift) -> io::Result<()> {
        let content = serde_json::to_vec(lift)?;
        replace(&self.directory, &format!("{name}{LIFT}"), MODE, &content)
    }

    /// Takes away what is over, so that no clock that is set back can bring it back; where another has
    /// replaced it meanwhile, that one stays.
    pub fn forget(&self, name: &str, id: &str) {
        let same = |found: io::Result<Option<Override>>| {
            found.is_ok_and(|found| found.is_some_and(|found| found.id == id))
        };
        if same(self.read(name)) {
            // It is over for everybody who can read the clock.
            let _ = self.remove(name);
        }
        let lift = read_lift(&self.directory, name);
        if lift.is_ok_and(|lift| lift.is_some_and(|lift| lift.id == id)) {
            let _ = std::fs::remove_file(self.directory.join(format!("{name}{LIFT}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overrides::{Action, Moment, Stage};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn directory(name: &str) -> PathBuf {
        let process = std::process::id();
        let directory = std::env::temp_dir().join(format!("agentcheck-store-{name}-{process}"));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        directory
    }

    fn drain(id: &str) -> Override {
        let set = Moment {
            boot: "a".to_owned(),
            at: 1,
            wall: 1,
        };
        Override {
            version: VERSION,
            id: id.to_owned(),
            set,
            stages: vec![Stage {
                action: Action::Drain,
                until: None,
                end: None,
            }],
            reason: "disk".to_owned(),
            by: String::new(),
        }
    }

    #[test]
    fn what_is_set_is_read_with_its_owner() {
        let directory = directory("set");
        let locked = lock(&directory).unwrap();
        locked.set("web", &drain("1")).unwrap();
        locked.set(ALL, &drain("2")).unwrap();
        let stored = read(&directory).unwrap();
        assert_eq!(stored.faults, Vec::<String>::new());
        assert_eq!(stored.overrides.len(), 2);
        let web = &stored.overrides["web"];
        assert_eq!((web.id.as_str(), web.reason.as_str()), ("1", "disk"));
        let me = directory.metadata().unwrap().uid();
        assert_eq!(web.by, user(me));
        let mode = directory.join("web.override").metadata().unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, MODE);
        assert!(locked.remove("web").unwrap());
        assert!(!locked.remove("web").unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn only_what_is_over_is_forgotten() {
        let directory = directory("forget");
        let locked = lock(&directory).unwrap();
        locked.set("web", &drain("2")).unwrap();
        locked.forget("web", "1");
        assert!(locked.read("web").unwrap().is_some());
        locked.forget("web", "2");
        assert!(locked.read("web").unwrap().is_none());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_told_and_nothing_else_is_lost() {
        let directory = directory("faults");
        let locked = lock(&directory).unwrap();
        locked.set("good", &drain("1")).unwrap();
        let text = serde_json::to_string(&drain("1")).unwrap();
        std::fs::write(directory.join("target"), &text).unwrap();
        symlink("target", directory.join("link.override")).unwrap();
        std::fs::create_dir(directory.join("directory.override")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.join("fifo.override"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        std::fs::write(directory.join("half.override"), &text[..text.len() - 5]).unwrap();
        std::fs::write(directory.join("newer.override"), text.replace(":1,", ":2,")).unwrap();
        let large = format!("{text}{}", " ".repeat(MAX_BYTES));
        std::fs::write(directory.join("large.override"), large).unwrap();
        std::fs::write(directory.join("other.txt"), "x").unwrap();
        let stored = read(&directory).unwrap();
        let names: Vec<&String> = stored.overrides.keys().collect();
        assert_eq!(names, ["good"]);
        assert_eq!(stored.faults.len(), 6, "{:?}", stored.faults);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_empty() {
        let nowhere = Path::new("/nonexistent/overrides");
        assert_eq!(read(nowhere).unwrap(), Stored::default());
        assert!(lock(nowhere).is_err());
    }

    #[test]
    fn two_operators_take_turns() {
        let directory = directory("turns");
        let commands: Vec<_> = (0..8)
            .map(|number: u32| {
                let directory = directory.clone();
                std::thread::spawn(move || {
                    let locked = lock(&directory).unwrap();
                    let before = locked.read("web").unwrap();
                    locked.set("web", &drain(&number.to_string())).unwrap();
                    before.map(|before| before.id)
                })
            })
            .collect();
        let mut replaced: Vec<Option<String>> = commands
            .into_iter()
            .map(|command| command.join().unwrap())
            .collect();
        replaced.push(Some(
            lock(&directory).unwrap().read("web").unwrap().unwrap().id,
        ));
        replaced.sort();
        // Each was replaced by just one, and the last one stands.
        let expected = (0..8).map(|number: u32| Some(number.to_string()));
        let mut expected: Vec<Option<String>> = expected.chain([None]).collect();
        expected.sort();
        assert_eq!(replaced, expected);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn users_have_names() {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken\n:x:5:5\nweb:x:33:33::/:\n";
        assert_eq!(named(passwd, 33), Some("web".to_owned()));
        assert_eq!(named(passwd, 5), None);
        assert_eq!(named(passwd, 7), None);
    }
}
