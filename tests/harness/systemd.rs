//! A real systemd, booted in namespaces over a throw-away copy of this machine's root file system, with
//! the product installed into it by `make install`.

use crate::binaries;
use crate::processes::{run, wait_for};
use crate::scratch::Scratch;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

/// The booted system. It ends when this is dropped, or when the test dies.
#[derive(Debug)]
pub struct Systemd {
    script: Child,
    /// The script ends the system when this is closed.
    life: Option<ChildStdin>,
    first: String,
    log: PathBuf,
}

/// A directory that will be laid over the root file system, with everything in it that `make install`
/// installs.
#[must_use]
pub fn installed(scratch: &Scratch) -> PathBuf {
    let tree = scratch.directory("tree");
    // Asked for, so that what is copied is fresh.
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

impl Systemd {
    /// Boots, with the files of `tree` laid over the root file system, makes the product's accounts and
    /// directories as a package's installation does.
    ///
    /// # Panics
    /// Where this is not root, or the system does not come up.
    #[must_use]
    pub fn boot(scratch: &Scratch, tree: &Path) -> Self {
        let systemd = Self::boot_bare(scratch, tree);
        systemd.run(&["systemd-sysusers"]);
        systemd.run(&["systemd-tmpfiles", "--create", "agentcheck.conf"]);
        systemd
    }

    /// Boots, with the files of `tree` laid over the root file system, and does nothing else.
    ///
    /// # Panics
    /// Where this is not root, or the system does not come up.
    #[must_use]
    pub fn boot_bare(scratch: &Scratch, tree: &Path) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "booting systemd needs root: run the tests as root"
        );
        let log = scratch.file("systemd.log");
        let log_to = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut script = Command::new(binaries::workspace().join("tests/harness/systemd-lab.sh"))
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

    /// Runs a command inside that must succeed, and gives what it wrote.
    ///
    /// # Panics
    /// Where it fails.
    pub fn run(&self, words: &[&str]) -> String {
        run(&mut self.inside(words))
    }

    /// Runs a command inside, whatever comes of it.
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
            eprintln!("--- systemd said:\n{log}---");
        }
    }
}
