//! Space and inodes of a file system, by statvfs(3).
//!
//! The kernel asks the file system itself. On a dead file server, or with a FUSE daemon that does not answer,
//! that can block for ever. The daemon room keeps the blocked thread from delaying others, and the readings
//! become overdue.
//!
//! Not here: quotas; whether something is mounted at the path. Without a mount the numbers are those of the
//! file system below it.

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

/// Space in use in per cent (0 to 100), as df(1) shows it: the share of used plus available space for users
/// other than root.
///
/// A file system that creates inodes on demand (btrfs) reports 0 of them: 0 per cent are in use.
fn disk(stat: &StatVfs) -> Numbers {
    // Older kernels fill in only this unit.
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

    /// A file system for a test to fill in; StatVfs cannot be made otherwise.
    fn stat() -> StatVfs {
        rustix::fs::statvfs("/").unwrap()
    }

    #[test]
    fn usage_is_as_df_shows_it() {
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
        // Impossible numbers do not overflow, and the share stays in range.
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (u64::MAX, 0, u64::MAX);
        assert!((0.0..=100.0).contains(&disk(&stat).value));
    }

    #[test]
    fn no_blocks_and_no_inodes_are_no_usage() {
        let mut stat = stat();
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (0, 0, 0);
        (stat.f_files, stat.f_ffree, stat.f_favail) = (0, 0, 0);
        let numbers = disk(&stat);
        assert_eq!((numbers.value, numbers.parts[2]), (0.0, ("inodes", 0.0)));
    }

    #[test]
    fn real_paths_have_numbers_and_absent_paths_fail() {
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
