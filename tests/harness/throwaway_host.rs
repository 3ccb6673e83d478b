//! A throw-away host: this machine's root file system with the product laid over it, in its own namespaces, with an
//! empty `/run`. A test adds devices, accounts and programs.

use crate::binaries;
use crate::processes::{Running, output, run, wait_until};
use crate::scratch::Scratch;
use crate::systemd::installed;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The first process of the host, which all others die with. It takes in those whose parents have ended. `$PREPARE`
/// is run before the host's root is entered.
const BOOT: &str = r#"
    mount -t tmpfs tmpfs "$SCRATCH"
    mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
    root=$SCRATCH/root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    cp -a "$TREE/." "$root/"
    rm -rf "$root/var/lib/agentcheck"
    eval "$PREPARE"
    exec chroot "$root" sh -euc 'echo up >/run/up; while :; do sleep 0.1 & wait $! || :; done'
"#;

/// The host. All of its processes end with it.
pub struct ThrowawayHost {
    holder: Running,
    first: u32,
}

impl ThrowawayHost {
    /// Boots it with the product installed, and waits until its first process runs. `prepare` is a script that finds
    /// the host's root in `$root` and this repository's `packaging` in `$PACKAGING`.
    ///
    /// # Panics
    /// Where this is not root.
    #[must_use]
    pub fn boot(scratch: &Scratch, prepare: &str) -> Self {
        Self::boot_with(scratch, &installed(scratch), prepare)
    }

    /// Boots it with the files of `tree` in place of the installed product.
    ///
    /// # Panics
    /// Where this is not root.
    #[must_use]
    pub fn boot_with(scratch: &Scratch, tree: &Path, prepare: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "only root can make the host: run the tests as root"
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--kill-child", "bash", "-euc", BOOT])
            .env("SCRATCH", scratch.directory("host"))
            .env("TREE", tree)
            .env("PACKAGING", binaries::workspace().join("packaging"))
            .env("PREPARE", prepare);
        let holder = Running::start(scratch, "host", &mut command);
        wait_until("the host's first process", || holder.children().len() == 1);
        let first = holder.children()[0];
        let host = Self { holder, first };
        wait_until("the host", || host.path("/run/up").exists());
        host
    }

    /// A path inside, as it is seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    /// A command inside.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.first.to_string(), "-m", "-p", "-r", "-w", "--"])
            .args(words);
        command
    }

    /// Runs a command inside that must succeed, and gives what it wrote.
    pub fn run(&self, words: &[&str]) -> String {
        run(&mut self.command(words))
    }

    /// Runs a line of shell inside that must succeed, and returns its output.
    pub fn shell(&self, line: &str) -> String {
        self.run(&["bash", "-euc", line])
    }

    /// Runs a line of shell inside, which may fail.
    pub fn try_shell(&self, line: &str) -> Output {
        self.output(&["bash", "-euc", line])
    }

    /// Lays an unpacked package over the root.
    pub fn lay_over(&self, package: &Path) {
        let line = r#"tar -C "$0" -c . | tar -C "$1" -x --keep-directory-symlink --no-same-owner"#;
        run(Command::new("sh")
            .args(["-euc", line])
            .args([package, &self.path("/")]));
    }

    /// Runs a command inside; it may fail.
    pub fn output(&self, words: &[&str]) -> Output {
        output(&mut self.command(words))
    }

    /// Runs a line of shell that must fail with status 1, and returns its standard error.
    pub fn refused(&self, line: &str) -> String {
        let output = self.try_shell(line);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The content of a file inside, empty where there is none.
    pub fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    /// A line of `/proc/PID/status` inside, without its name.
    pub fn status(&self, pid: &str, name: &str) -> String {
        let status = self.run(&["cat", &format!("/proc/{pid}/status")]);
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}:")));
        let words = line.unwrap_or_else(|| panic!("no {name} in {status}"));
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether a process is there.
    pub fn lives(&self, pid: &str) -> bool {
        self.output(&["kill", "-0", pid]).status.success()
    }

    /// The output of the host's own programs, for a test that fails.
    pub fn log(&self) -> String {
        self.holder.log()
    }
}
