//! Child processes that end with the test, and waiting that ends with a reason.

use crate::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fmt::Display;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The user `nobody`, who has no rights in the tests' directories.
pub const NOBODY: u32 = 65534;

/// After how long a condition that did not come is a fault and not a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits until `condition` is true.
///
/// # Panics
/// After [`LIMIT`], naming `what`.
pub fn wait_until(what: impl Display, mut condition: impl FnMut() -> bool) {
    wait_for(what, || {
        condition().then_some(()).ok_or("it did not happen")
    });
}

/// Waits until `poll` returns a value, and returns it.
///
/// # Panics
/// After [`LIMIT`], naming `what` and the last error of `poll`.
pub fn wait_for<T, E: Display>(what: impl Display, mut poll: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match poll() {
            Ok(seen) => return seen,
            Err(reason) if start.elapsed() > LIMIT => {
                panic!("waited {LIMIT:?} for {what}: {reason}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Waits until `count` has come to `enough`, however long that takes, as long as it grows.
///
/// # Panics
/// Where it has not grown for [`LIMIT`], naming `what`.
pub fn wait_for_growth(what: impl Display, enough: u64, mut count: impl FnMut() -> u64) {
    let mut seen = count();
    while seen < enough {
        let next = (seen + 1).min(enough);
        wait_until(format_args!("{next} of {what}"), || {
            let now = count();
            let grown = now > seen;
            seen = now;
            grown
        });
    }
}

/// The path of an installed program. Also searches the directories of root's PATH.
///
/// # Panics
/// Where it is not installed, naming the command that installs it.
#[must_use]
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"])
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not installed: apt-get install -y {package} (or tests/install-deps.sh)"
            )
        })
}

/// Runs a command to its end and gives what it wrote to its standard output.
///
/// # Panics
/// Where it fails, with its output.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output is text")
}

/// Runs a command to its end; it may fail.
///
/// # Panics
/// Where it cannot be started.
pub fn output(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A child process with its own process group, killed as a whole when dropped. Its output goes to a log file. A
/// failing test prints the end of it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts `command`; standard output and error go to `NAME.log` in `scratch`, after what an earlier
    /// process of the same name wrote.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(scratch: &Scratch, name: &str, command: &mut Command) -> Self {
        let log = scratch.file(&format!("{name}.log"));
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap_or_else(|error| panic!("{}: {error}", log.display()))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
            status: None,
        }
    }

    /// Its process id, which is its group's too.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the process alone.
    ///
    /// # Panics
    /// Where it has ended already.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.group(), signal)
            .unwrap_or_else(|error| panic!("{} could not be signalled: {error}", self.name));
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// Where the kernel gives no answer.
    pub fn is_running(&mut self) -> bool {
        self.status = self.child.try_wait().expect("a child can be waited for");
        self.status.is_none()
    }

    /// Its children that have not ended, by process id.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        children(self.pid())
    }

    /// Waits for its end, and returns its status.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(what, || {
            self.is_running();
            self.status.ok_or("it still runs")
        })
    }

    /// Sends SIGKILL to its whole group, and waits for the end of the process.
    pub fn kill(&mut self) {
        // xinetd gives each of its children a session of its own, and a loop that it started stays.
        let children = match self.status {
            None => self.children(),
            // Its number may be another's by now.
            Some(_) => Vec::new(),
        };
        // Its group may have ended already.
        let _ = kill_process_group(self.group(), Signal::KILL);
        for child in children {
            if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
                // The command of a source has a group of its own.
                let _ = kill_process_group(child, Signal::KILL);
                let _ = kill_process(child, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }

    /// Its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits until its output has this text, and returns all of it. An action can be visible before its line
    /// in the log.
    ///
    /// # Panics
    /// After [`LIMIT`], with its output.
    pub fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_lines(1, text)
    }

    /// The same of as many places in its log.
    ///
    /// # Panics
    /// After [`LIMIT`], with its output.
    pub fn wait_for_lines(&self, count: usize, text: &str) -> String {
        let what = format!("{text:?} in the log of {}, {count} times", self.name);
        wait_for(what, || {
            let log = self.log();
            if log.matches(text).count() >= count {
                Ok(log)
            } else {
                Err(log)
            }
        })
    }
}

/// The children of all threads of a process, by process id.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    // Each number has a space after it. A thread may have ended.
    let list: String = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    list.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- output of {}:\n{}\n---", self.name, last.join("\n"));
        }
    }
}
