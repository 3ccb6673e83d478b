//! The program under test with a state directory, and processes that the test always ends.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The environment variable that names another program to test; see `builds.rs`.
pub(crate) const OTHER: &str = "AGENTCHECK_RESPONDER_UNDER_TEST";

/// The path of the program.
pub(crate) fn path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let usual = env!("CARGO_BIN_EXE_agentcheck-responder");
        std::env::var(OTHER).unwrap_or_else(|_| usual.to_owned())
    });
    &PATH
}

/// A program that starts with this limit, written as for the shell's `ulimit`.
pub(crate) fn limited(limit: &str, program: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit {limit}; exec \"$@\"");
    command.args(["-c", &script, "sh", program]);
    command
}

/// The time after which a test fails as hanging. No operation takes that long.
pub(crate) const HANG: Duration = Duration::from_secs(10);

/// A directory that is removed at the end of the test.
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!(
            "/tmp/agentcheck-responder.{}.{number}",
            std::process::id()
        ));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn with(services: &[(&str, &str)]) -> Self {
        let directory = Self::new();
        for (name, line) in services {
            directory.write(name, &state(name, line));
        }
        directory
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Arguments for HTTP and agent-check, where the client names the service.
    pub(crate) fn http_arguments(&self) -> [&str; 4] {
        ["--name-from-client", "--http", "--state-dir", self.path()]
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.state"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A state file of this boot with the reply `line`.
pub(crate) fn state(name: &str, line: &str) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    format!("agentcheck 1 {name}\nboot {boot}from 1\nuntil 2 down\nthen {line}\n")
}

/// A process that is killed at the end of the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let named = format!("{command:?}");
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{named}: {error}")),
        )
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of the process and returns the exit status.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < HANG, "the process does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The text on standard error, after the end of the process.
    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with these arguments, with an empty environment and no standard input.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Starts the program as inetd does: all three standard descriptors are the connection.
pub(crate) fn on_connection(arguments: &[&str], connection: impl Into<OwnedFd>) -> Running {
    let connection = connection.into();
    let mut command = program(arguments);
    command
        .stdin(connection.try_clone().unwrap())
        .stdout(connection.try_clone().unwrap())
        .stderr(connection);
    Running::start(&mut command)
}

/// The program with listening sockets as systemd passes them, from descriptor 3 on. `names` is LISTEN_FDNAMES.
pub(crate) fn activated(arguments: &[&str], sockets: Vec<OwnedFd>, names: &str) -> Command {
    // A shell knows its process id and can move descriptors; exec preserves both.
    let script = match sockets.len() {
        1 => "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"",
        2 => "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$@\"",
        count => panic!("{count} sockets"),
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", path()])
        .args(arguments)
        .env_clear();
    command
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", names);
    let mut sockets = sockets.into_iter();
    command.stdin(sockets.next().unwrap());
    if let Some(second) = sockets.next() {
        command.stdout(second);
    }
    command
}

/// Runs the program with pipes and returns its output and exit status.
pub(crate) fn output(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Runs a tool that a test requires.
pub(crate) fn tool(package: &str, command: &mut Command) -> Output {
    let named = format!("{command:?}");
    command
        .output()
        .unwrap_or_else(|error| panic!("{named}: {error}; apt-get install {package}"))
}

/// Reads until the other side closes.
pub(crate) fn rest(mut from: impl std::io::Read) -> String {
    let mut text = Vec::new();
    from.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}
