//! The permissions of a path, and who can replace it.

use crate::setup::doctor::directory::Rights;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permissions of a path.
///
/// # Errors
/// The kind of the error of reading them.
pub(super) fn rights(path: &Path) -> Result<Rights, io::ErrorKind> {
    let data = fs::metadata(path).map_err(|error| error.kind())?;
    Ok(Rights {
        directory: data.is_dir(),
        mode: data.mode(),
        uid: data.uid(),
        gid: data.gid(),
        is_roots_path: is_roots_path(path),
    })
}

/// Whether root alone can put another file at a path: each directory above it, and each entry of a directory that
/// everybody may write to, belongs to root, and there is no link.
fn is_roots_path(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else {
        return false;
    };
    // Whether root owns the entry below; `None` at the last entry.
    let mut below_is_roots = None;
    path.ancestors().all(|part| {
        let Ok(data) = fs::symlink_metadata(part) else {
            return false;
        };
        let is_roots = data.uid() == 0;
        let is_private = data.mode() & 0o022 == 0;
        let is_sticky = data.mode() & 0o1000 != 0;
        let is_safe =
            below_is_roots.is_none_or(|below: bool| is_roots && (is_private || is_sticky && below));
        below_is_roots = Some(is_roots);
        is_safe && !data.is_symlink()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn directory_below_another_users_is_no_path_of_roots() {
        let scratch = Scratch::new("rights");
        let parent = scratch.path().join("data");
        let child = parent.join("overrides");
        fs::create_dir_all(&child).unwrap();
        let is_roots = |path: &Path| rights(path).unwrap().is_roots_path;
        let open = |mode| fs::set_permissions(&parent, fs::Permissions::from_mode(mode)).unwrap();
        assert!(is_roots(&child));
        symlink(&parent, scratch.path().join("link")).unwrap();
        assert!(!is_roots(&scratch.path().join("link")));
        assert!(!is_roots(&scratch.path().join("link/overrides")));
        open(0o777);
        assert!(!is_roots(&child));
        // Only the owner of an entry can replace it there.
        open(0o1777);
        assert!(is_roots(&child));
        chown(&child, Some(7), None).unwrap();
        assert!(!is_roots(&child));
        open(0o755);
        assert!(is_roots(&child));
        chown(&parent, Some(7), None).unwrap();
        assert!(!is_roots(&child));
        assert!(is_roots(&parent));
    }
}
