//! File systems of a test's own: small, read-only, or on a disk that hangs.
//!
//! A shell mounts each, and unmounts it when its standard input ends. So nothing stays mounted or frozen, however
//! the test ends.

use crate::processes::{output, program, run};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted file system. It goes when dropped.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    keeper: Child,
}

impl Mounted {
    /// A tmpfs on the directory `path`, with mount options such as `size=64k`.
    #[must_use]
    pub fn tmpfs(path: &Path, options: &str) -> Self {
        let options = format!("mode=755,{options}");
        Self::keep(path, r#"mount -t tmpfs -o "$2" tmpfs "$1""#, &options)
    }

    /// The directory `of` on the directory `path`, too.
    ///
    /// # Panics
    /// Where the path is not UTF-8.
    #[must_use]
    pub fn bind(path: &Path, of: &Path) -> Self {
        let of = of.to_str().expect("a path in UTF-8");
        Self::keep(path, r#"mount --bind "$2" "$1""#, of)
    }

    /// A disk of 16 MB on the directory `path`; `image` becomes the file that is behind it.
    ///
    /// # Panics
    /// Where the path is not UTF-8.
    #[must_use]
    pub fn disk(path: &Path, image: &Path) -> Self {
        let mkfs = program("mkfs.ext4", "e2fsprogs");
        run(Command::new("truncate").args(["-s", "16M"]).arg(image));
        run(Command::new(mkfs).args(["-q", "-F"]).arg(image));
        let image = image.to_str().expect("a path in UTF-8");
        Self::keep(path, r#"mount -o loop "$2" "$1""#, image)
    }

    fn keep(path: &Path, mount: &str, of: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "mounting needs root: run the tests as root"
        );
        let script = format!(
            r#"{mount} || exit 1
            echo mounted
            cat >/dev/null
            fsfreeze --unfreeze "$1" 2>/dev/null
            umount --lazy "$1""#
        );
        let mut keeper = Command::new("sh")
            .args(["-c", &script, "keeper"])
            .arg(path)
            .arg(of)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut printed = String::new();
        let output = keeper.stdout.take().expect("it is piped");
        let _ = BufReader::new(output).read_line(&mut printed);
        assert_eq!(printed, "mounted\n", "{} cannot be mounted", path.display());
        Self {
            path: path.to_owned(),
            keeper,
        }
    }

    /// Makes it read-only (`ro`) or writable (`rw`); false while a process is writing.
    #[must_use]
    pub fn try_remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        let mut command = Command::new("mount");
        output(command.args(["-o", &options]).arg(&self.path))
            .status
            .success()
    }

    /// Lets every writer hang, until [`Self::thaw`].
    pub fn freeze(&self) {
        let fsfreeze = program("fsfreeze", "util-linux");
        run(Command::new(fsfreeze).arg("--freeze").arg(&self.path));
    }

    /// Lets hung writers continue.
    pub fn thaw(&self) {
        let fsfreeze = program("fsfreeze", "util-linux");
        run(Command::new(fsfreeze).arg("--unfreeze").arg(&self.path));
    }

    /// Fills it to the last byte with a file of that name, which may be there already.
    ///
    /// # Panics
    /// Where the file cannot be made.
    pub fn fill(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        let mut options = std::fs::File::options();
        let mut file = options.create(true).append(true).open(&path).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
