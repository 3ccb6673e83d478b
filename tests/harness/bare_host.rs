//! A throw-away host: this machine's root file system with the product laid over it, in namespaces of its own,
//! with an empty `/run`, no systemd, no syslogd, and accounts of its own.

use crate::processes::{Running, output, run, wait_until};
use crate::scratch::Scratch;
use crate::systemd::installed;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The first process of the host, which all others die with. It takes in those whose parents have ended.
const BOOT: &str = r#"
    mount -t tmpfs tmpfs "$SCRATCH"
    mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
    root=$SCRATCH/root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero random urandom; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    cp -a "$TREE/." "$root/"
    rm -rf "$root/var/lib/agentcheck"
    echo 'collector:x:61234:61234::/nonexistent:/usr/sbin/nologin' >>"$root/etc/passwd"
    printf 'collector:x:61234:\nreaders:x:61235:daemon,collector\nothers:x:61236:\n' >>"$root/etc/group"
    cat >"$root/etc/agentcheck/agentcheck.toml" <<CONFIGURATION
[source.load.system]
metric = "load"
interval = "200ms"

[service.web]
weight = 'load.ok ? 100 : 50'
CONFIGURATION
    exec chroot "$root" sh -euc 'echo up >/run/up; while :; do sleep 0.1 & wait $! || :; done'
"#;

/// The host. All of its processes end with it.
pub struct BareHost {
    holder: Running,
    first: u32,
}

impl BareHost {
    /// Boots it, and waits until its first process runs.
    ///
    /// # Panics
    /// Where this is not root.
    #[must_use]
    pub fn boot(scratch: &Scratch) -> Self {
        let tree = installed(scratch);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-euc", BOOT])
            .env("SCRATCH", scratch.directory("host"))
            .env("TREE", &tree);
        let holder = Running::start(scratch, "host", &mut command);
        wait_until("the host's first process", || {
            assert!(
                rustix::process::geteuid().is_root(),
                "the host is made by root: run the tests as root"
            );
            holder.children().len() == 1
        });
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

    /// The same of a line of shell.
    pub fn shell(&self, line: &str) -> String {
        self.run(&["sh", "-euc", line])
    }

    /// Runs a command inside; it may fail.
    pub fn output(&self, words: &[&str]) -> Output {
        output(&mut self.command(words))
    }

    /// Runs a line of shell that must fail with status 1, and returns its standard error.
    pub fn refused(&self, line: &str) -> String {
        let output = self.output(&["sh", "-euc", line]);
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
