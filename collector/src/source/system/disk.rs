//! Space and inodes of a file system, by statvfs(3).
//!
//! The kernel asks the file system itself: where it is on a server that is gone, or a FUSE daemon that
//! does not answer, that can take for ever, and there is no way to leave it. The daemon keeps the thread
//! that it holds up from holding up others, and the readings become overdue.
//!
//! Not here: quotas; whether something is mounted at the path at all. Where it is not, the numbers are
//! those of the file system that the path lies on then.

use super::memory::used_of;
use crate::reading::{Failure, Numbers};
use crate::source::io_reason;
use rustix::fs::StatVfs;
use std::io;
use std::path::Path;

/// The parts of `disk`: bytes, and inodes in per cent and in numbers.
pub(super) const PARTS: &[&str] = &[
    "total",
    "available",
    "inodes",
    "inodes_total",
    "inodes_available",
];

pub(super) fn read_disk(path: &Path) -> Result<Numbers, Failure> {
    match rustix::fs::statvfs(path) {
        Ok(stat) => Ok(disk(&stat)),
        Err(error) => {
            let error = io::Error::from(error);
            let detail = format!("{}: {error}", path.display());
            Err(Failure::new(io_reason(&error), detail))
        }
    }
}

/// Space in use in per cent (0 to 100), as df(1) has it: of what users other than root could have, which
/// is what is in use and what they may still take.
///
/// A file system that makes inodes as it needs them (btrfs) says that it has 0 of them: none of the limit
/// is in use.
fn disk(stat: &StatVfs) -> Numbers {
    // The old name of the unit, where the newer one is not filled in.
    let unit = match stat.f_frsize {
        0 => stat.f_bsize,
        unit => unit,
    };
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    let space = used_of(used.saturating_add(stat.f_bavail), stat.f_bavail, &[]);
    let inodes_used = stat.f_files.saturating_sub(stat.f_ffree);
    let all_inodes = inodes_used.saturating_add(stat.f_favail);
    let inodes = used_of(all_inodes, stat.f_favail, &[]);
    let bytes = |blocks: u64| blocks.saturating_mul(unit) as f64;
    let parts = [
        bytes(stat.f_blocks),
        bytes(stat.f_bavail),
        inodes.value,
        stat.f_files as f64,
        stat.f_favail as f64,
    ];
    Numbers {
        value: space.value,
        parts: PARTS.iter().copied().zip(parts).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reason;

    /// A file system that a test fills in; StatVfs has no other way to be made.
    fn stat() -> StatVfs {
        rustix::fs::statvfs("/").unwrap()
    }

    #[test]
    fn as_df_has_it() {
        // 100 blocks of 4 KiB, 10 free, 5 of them reserved for root.
        let mut stat = stat();
        stat.f_bsize = 1 << 20;
        stat.f_frsize = 4096;
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (100, 10, 5);
        (stat.f_files, stat.f_ffree, stat.f_favail) = (1000, 250, 250);
        let numbers = disk(&stat);
        assert!((numbers.value - 100.0 * 90.0 / 95.0).abs() < 1e-9);
        let parts = [
            ("total", 409_600.0),
            ("available", 20_480.0),
            ("inodes", 75.0),
            ("inodes_total", 1000.0),
            ("inodes_available", 250.0),
        ];
        assert_eq!(numbers.parts, parts);
        // Full for everybody but root.
        stat.f_bavail = 0;
        assert_eq!(disk(&stat).value, 100.0);
        // Numbers that cannot be: no overflow, and still a share.
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (u64::MAX, 0, u64::MAX);
        assert!((0.0..=100.0).contains(&disk(&stat).value));
    }

    #[test]
    fn no_blocks_and_no_inodes_are_nothing_in_use() {
        let mut stat = stat();
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (0, 0, 0);
        (stat.f_files, stat.f_ffree, stat.f_favail) = (0, 0, 0);
        let numbers = disk(&stat);
        assert_eq!((numbers.value, numbers.parts[2]), (0.0, ("inodes", 0.0)));
    }

    #[test]
    fn this_machine_and_what_it_does_not_have() {
        for path in ["/", "/tmp", "/proc"] {
            let numbers = read_disk(Path::new(path)).unwrap();
            assert!((0.0..=100.0).contains(&numbers.value), "{path} {numbers:?}");
            assert_eq!(numbers.parts.len(), PARTS.len());
        }
        let missing = read_disk(Path::new("/no/such/path")).unwrap_err();
        assert_eq!(missing.reason, Reason::Missing);
        assert!(missing.detail.starts_with("/no/such/path: "), "{missing}");
        let nul = read_disk(Path::new("a\0b")).unwrap_err();
        assert_eq!(nul.reason, Reason::Other);
    }
}
