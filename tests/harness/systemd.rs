//! A real systemd, booted in namespaces over a throw-away copy of this machine's root file system, with the
//! product installed into it by `make install`.
//!
//! `AGENTCHECK_SYSTEMD_ROOT` names another root file system, with another systemd: `make test-systemd-257`.

use crate::binaries;
use crate::permit::Permit;
use crate::processes::{program, run, wait_for};
use crate::scratch::Scratch;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

/// Whose network the booted system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// This machine's.
    Shared,
    /// One of its own.
    Own,
}

/// The booted system. It ends when this is dropped, or when the test dies.
#[derive(Debug)]
pub struct Systemd {
    script: Child,
    /// The script ends the system when this is closed.
    life: Option<ChildStdin>,
    first: String,
    log: PathBuf,
    _permit: Permit,
}

/// So many may be booted at once: each takes a processor for seconds, and memory.
const BOOTED_AT_ONCE: usize = 3;

/// The root file system with the systemd that is tested, where it is not this machine's.
///
/// # Panics
/// Where `AGENTCHECK_SYSTEMD_ROOT` names no directory with a systemd in it.
#[must_use]
pub fn other_root() -> Option<PathBuf> {
    let root = binaries::workspace().join(std::env::var_os("AGENTCHECK_SYSTEMD_ROOT")?);
    assert!(
        root.join("lib/systemd/systemd").exists(),
        "{} holds no systemd: tests/systemd-root.sh makes one that does",
        root.display()
    );
    Some(root)
}

/// A program that belongs to the systemd that is tested. If that systemd is in another root, the program sees the
/// tests' temporary directory under the same path, and nothing else of this machine.
#[must_use]
pub fn tool(name: &str) -> Command {
    let Some(root) = other_root() else {
        return Command::new(program(name, "systemd"));
    };
    let inside = r#"
        mkdir -p "$ROOT$SHARED"
        mount --bind "$SHARED" "$ROOT$SHARED"
        mount --bind /proc "$ROOT/proc"
        mount --rbind /dev "$ROOT/dev"
        exec chroot "$ROOT" "$@"
    "#;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc", inside])
        .args(["sh", name])
        .env("ROOT", root)
        .env("SHARED", std::env::temp_dir());
    command
}

/// The version of the systemd that is tested.
///
/// # Panics
/// Where it prints none.
#[must_use]
pub fn version() -> u32 {
    let printed = run(tool("systemd-analyze").arg("--version"));
    let version = printed.split_whitespace().nth(1);
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_else(|| panic!("no version in {printed:?}"))
}

/// A directory that will be laid over the root file system, with everything in it that `make install`
/// installs.
#[must_use]
pub fn installed(scratch: &Scratch) -> PathBuf {
    let tree = scratch.directory("tree");
    // These calls check that the programs are current.
    let programs = [binaries::collector(), binaries::responder()];
    let release = programs[0].parent().expect("programs are in a directory");
    run(Command::new("make")
        .arg("-C")
        .arg(binaries::workspace())
        .arg("install")
        .arg(format!("DESTDIR={}", tree.display()))
        .arg(format!("RELEASE={}", release.display())));
    tree
}

/// Writes a file into a tree that will be laid over the root file system.
///
/// # Panics
/// Where it cannot be written.
pub fn put(tree: &Path, inside: &str, text: &str) {
    let path = tree.join(inside);
    std::fs::create_dir_all(path.parent().expect("a path inside")).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Systemd {
    /// Boots, with the files of `tree` laid over the root file system, makes the product's accounts and
    /// directories as a package's installation does.
    ///
    /// # Panics
    /// Where this is not root, or the system does not come up.
    #[must_use]
    pub fn boot(scratch: &Scratch, tree: &Path) -> Self {
        let systemd = Self::boot_bare(scratch, tree);
        systemd.make_accounts_and_directories();
        systemd
    }

    /// Boots, with the files of `tree` laid over the root file system, and does nothing else.
    ///
    /// # Panics
    /// Where this is not root, or the system does not come up.
    #[must_use]
    pub fn boot_bare(scratch: &Scratch, tree: &Path) -> Self {
        Self::boot_in(scratch, tree, Network::Shared)
    }

    /// Like [`Self::boot`], with a network of its own, in which there is the loopback and nothing else.
    ///
    /// # Panics
    /// Where this is not root, or the system does not come up.
    #[must_use]
    pub fn boot_alone(scratch: &Scratch, tree: &Path) -> Self {
        let systemd = Self::boot_in(scratch, tree, Network::Own);
        // The host's own program: the other root has none.
        run(systemd
            .in_its_network("ip", "iproute2")
            .args(["link", "set", "lo", "up"]));
        systemd.make_accounts_and_directories();
        systemd
    }

    fn make_accounts_and_directories(&self) {
        self.run(&["systemd-sysusers"]);
        self.run(&["systemd-tmpfiles", "--create", "agentcheck.conf"]);
    }

    fn boot_in(scratch: &Scratch, tree: &Path, network: Network) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "booting systemd needs root: run the tests as root"
        );
        let permit = Permit::take("systemd", BOOTED_AT_ONCE);
        let log = scratch.file("systemd.log");
        let log_to = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut script = Command::new(binaries::workspace().join("tests/harness/systemd-lab.sh"));
        if let Some(root) = other_root() {
            script.env("ROOT", root);
        }
        if network == Network::Own {
            script.env("NETWORK", "own");
        }
        let mut script = script
            .arg(scratch.directory("systemd"))
            .arg(tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_to)
            .process_group(0)
            .spawn()
            .expect("the lab's script can be started");
        let life = script.stdin.take();
        let output = script.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the lab's script writes text");
        let mut systemd = Self {
            script,
            life,
            first: String::new(),
            log,
            _permit: permit,
        };
        let first = line.trim().strip_prefix("up ");
        // Without it, the drop of `systemd` shows what was wrong.
        first
            .expect("systemd comes up")
            .clone_into(&mut systemd.first);
        systemd
    }

    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.first, "-m", "-p", "-n", "-u", "-i", "-C", "--"])
            .args(words);
        command
    }

    /// A program of this machine that runs in the booted system's network.
    ///
    /// # Panics
    /// Where it is not installed.
    #[must_use]
    pub fn in_its_network(&self, name: &str, package: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first, "-n", "--"]);
        command.arg(program(name, package));
        command
    }

    /// Has the calling thread, and no other, open its sockets in the booted system's network.
    ///
    /// # Panics
    /// Where this is not root.
    pub fn move_into_its_network(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.first)).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(network.as_fd(), kind).unwrap();
    }

    /// The process id outside of a process that has `pid` inside.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn outside(&self, pid: &str) -> u32 {
        let space = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let ours = space(&self.first);
        let mut processes = std::fs::read_dir("/proc").unwrap();
        let found = processes.find_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let outside: u32 = name.parse().ok()?;
            let status = std::fs::read_to_string(format!("/proc/{name}/status")).ok()?;
            let ids = status.lines().find(|line| line.starts_with("NSpid:"))?;
            let last = ids.split_whitespace().next_back()?;
            (last == pid && space(&name) == ours).then_some(outside)
        });
        found.unwrap_or_else(|| panic!("no process {pid} in the booted system"))
    }

    /// Runs a command inside that must succeed, and gives what it wrote.
    ///
    /// # Panics
    /// Where it fails.
    pub fn run(&self, words: &[&str]) -> String {
        run(&mut self.inside(words))
    }

    /// Runs a command inside; it may fail.
    #[must_use]
    pub fn output(&self, words: &[&str]) -> Output {
        crate::processes::output(&mut self.inside(words))
    }

    /// One property of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, property: &str) -> String {
        let words = ["systemctl", "show", "--value", "-p", property, unit];
        self.run(&words).trim().to_owned()
    }

    /// Waits until a property of a unit has this value.
    pub fn wait_for_property(&self, unit: &str, property: &str, value: &str) {
        wait_for(format_args!("{property}={value} of {unit}"), || {
            let seen = self.property(unit, property);
            if seen == value { Ok(()) } else { Err(seen) }
        });
    }

    /// What the journal has of a unit.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
    }

    /// Waits until the journal of a unit has this text, and returns all of it. A line gets there later than the
    /// action that it reports.
    ///
    /// # Panics
    /// After [`crate::processes::LIMIT`], with what it has instead.
    pub fn wait_for_journal(&self, unit: &str, text: &str) -> String {
        wait_for(format_args!("{text:?} in the journal of {unit}"), || {
            let journal = self.journal(unit);
            if journal.contains(text) {
                Ok(journal)
            } else {
                Err(journal)
            }
        })
    }

    /// A path inside, as it is seen from outside.
    ///
    /// # Panics
    /// For a relative path.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        assert!(inside.starts_with('/'), "{inside} is absolute");
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.first.is_empty() {
            let words = ["journalctl", "--no-pager", "-b", "-n", "60"];
            let journal = self.output(&words);
            let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
            eprintln!("--- the journal:\n{journal}---");
        }
        self.life = None;
        let _ = self.script.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- systemd's output:\n{log}---");
        }
    }
}
