//! The command source: the output of a program.
//!
//! The program starts without a shell and without input, in a process group of its own; as another user, in a
//! session of its own without a terminal. When it ends or is stopped, its whole group is killed. A process that
//! left the group (a daemon) is not killed. It cannot delay a poll by keeping the output open: the output is
//! complete once the program has ended.
//!
//! By default the program has the collector's environment, directory and user, without the variables that a
//! service manager sets for the collector alone.
//!
//! Not here: limits on memory or CPU time of a command (the service manager limits the whole service).

mod nagios;
mod output;
mod process_watcher;
#[cfg(test)]
mod tests;

use super::{Cancellation, Deadline, Format, Found, Ranges, Secret, io_reason};
use crate::reading::{Content, Failure, Reason};
use crate::sys::accounts::Accounts;
use crate::sys::session;
use crate::sys::state_file::open_regular;
use output::Output;
use process_watcher::{END_TICK, Ended, flood, watch};
pub(super) use process_watcher::{Followed, kill_group};
use rustix::fs::OFlags;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variables that a service manager sets for the collector alone.
const NOT_INHERITED: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// How long a killed process may take to end before the next poll reaps it.
const GRACE: Duration = Duration::from_millis(500);
/// How much of the end of the error output is kept, in bytes: enough for a failure's detail.
const ERRORS_KEPT: usize = 4 * Failure::MAX_DETAIL;

/// `[source.NAME.command]`
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The program and its arguments, without a shell. A name without `/` is searched in the collector's
    /// `PATH`.
    pub argv: Vec<String>,
    /// How output and exit status are read.
    pub reads: Reads,
    /// `expect_exit`: the exit statuses that are a success; unused with `nagios`.
    pub expect_exit: Ranges,
    /// The largest output, in bytes; also the largest error output.
    pub max_bytes: usize,
    /// Variables that are added to the collector's environment or replace its own.
    pub env: Environment,
    /// The working directory; `None` is the collector's.
    pub directory: Option<PathBuf>,
    /// The user who runs it; `None` is the collector's user.
    pub user: Option<User>,
}

/// How a command's output and exit status are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The output in a format; an exit status that `expect_exit` does not list is a failure.
    Format(Format),
    /// `nagios`: a monitoring plugin. Statuses 0, 1 and 2 (ok, warning, critical) are good readings, all others
    /// are failures. The first line has text and performance data.
    Nagios,
}

impl Reads {
    /// The format of the output, if it has one.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Format(format) => Some(format),
            Self::Nagios => None,
        }
    }
}

/// Variables, by name.
pub type Environment = BTreeMap<String, Secret>;

/// Another user than the collector's, which requires root. The command has no supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// By name, as in /etc/passwd, or by number.
    pub user: String,
    /// By name, as in /etc/group, or by number; without one it is the user's own.
    pub group: Option<String>,
}

impl Command {
    /// The program and its arguments, read as text, with defaults.
    #[must_use]
    pub fn new(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            reads: Reads::Format(Format::default()),
            expect_exit: Ranges::zero(),
            max_bytes: super::DEFAULT_MAX_BYTES,
            env: Environment::default(),
            directory: None,
            user: None,
        }
    }
}

impl Command {
    /// Starts the program with pipes for its output. Without `input` it reads /dev/null.
    pub(super) fn start(&self, input: Option<Stdio>) -> Result<Child, Failure> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(Failure::new(Reason::Other, "no program is configured"));
        };
        let input = match input {
            Some(input) => input,
            None => null()?,
        };
        let mut command = process::Command::new(program);
        command
            .args(arguments)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        match &self.user {
            // A session is a process group, too.
            Some(user) => become_user(&mut command, user)?,
            None => {
                command.process_group(0);
            }
        }
        for (name, value) in &self.env {
            command.env(name, value.expose());
        }
        if let Some(directory) = &self.directory {
            // Checked here, because a failed start does not report which of the two is absent.
            match std::fs::metadata(directory) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    let detail = format!("{directory:?} is not a directory");
                    return Err(Failure::new(Reason::Missing, detail));
                }
                Err(error) => {
                    let detail = format!("{directory:?}: {error}");
                    return Err(Failure::new(io_reason(&error), detail));
                }
            }
            command.current_dir(directory);
        }
        command.spawn().map_err(|error| {
            let cause = start_error(Path::new(program), &error).unwrap_or(error.to_string());
            Failure::new(io_reason(&error), format_args!("{program:?}: {cause}"))
        })
    }
}

/// The input of a program that gets none. A container or a chroot may lack the device.
fn null() -> Result<Stdio, Failure> {
    let opened = std::fs::File::open("/dev/null").map_err(|error| {
        let detail = format!(
            "/dev/null: {error}: a command needs it as its input; create it: mknod -m 666 /dev/null c 1 3"
        );
        Failure::new(io_reason(&error), detail)
    })?;
    Ok(opened.into())
}

impl Command {
    /// Passes the output of a program that keeps running to `take`, until it ends, `take` fails or the source
    /// stops. The program is neither killed nor reaped.
    pub(super) fn follow(
        &self,
        child: &mut Child,
        stop: &Cancellation,
        take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Followed {
        let output = Output::whole(child.stdout.take(), usize::MAX);
        let errors = Output::end(child.stderr.take(), usize::MAX, ERRORS_KEPT);
        process_watcher::follow(child, output, errors, stop, take)
    }
}

impl Followed {
    /// Reaps the program, which has ended or was killed; returns why it ended.
    pub(super) fn failure(self, child: Child) -> Failure {
        let mut runner = Runner {
            command: Command::new(&[]),
            unreaped: None,
        };
        let status = runner.reap(child);
        match (self.ended, status) {
            (Ended::Cut(failure), _) => {
                with_error_line(failure.reason, &failure.detail, &self.error_line)
            }
            (Ended::Itself, Some(status)) => failed(status, &self.error_line),
            (Ended::Itself, None) => {
                Failure::new(Reason::Other, "another process took its exit status")
            }
        }
    }
}

/// Why an existing program cannot be started, where the system's own error would mislead: it is about the
/// interpreter in the first line, not about the program.
fn start_error(program: &Path, error: &io::Error) -> Option<String> {
    let is_unknown = error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error());
    if error.kind() != io::ErrorKind::NotFound && !is_unknown {
        return None;
    }
    let mut start = Vec::new();
    let file = open_regular(program, OFlags::empty()).ok()?;
    // The kernel reads no more of the first line.
    file.take(256).read_to_end(&mut start).ok()?;
    if start.starts_with(b"\x7fELF") {
        return (!is_unknown).then(|| "its dynamic loader or a library is missing".to_owned());
    }
    let line = start.split(|byte| *byte == b'\n').next()?;
    let Some(line) = line.strip_prefix(b"#!") else {
        return is_unknown.then(|| "not an executable format: begin it with #!/bin/sh".to_owned());
    };
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    Some(if line.ends_with('\r') {
        format!("its first line, #!{interpreter}, ends with CRLF: save it with LF line ends")
    } else {
        format!("its interpreter {interpreter} does not exist")
    })
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {:?}", self.argv)?;
        if let Some(directory) = &self.directory {
            write!(f, " in {directory:?}")?;
        }
        if let Some(User { user, group }) = &self.user {
            write!(f, " by user {}", user.escape_debug())?;
            if let Some(group) = group {
                write!(f, " of group {}", group.escape_debug())?;
            }
        }
        match self.reads {
            Reads::Format(format) => write!(f, " as {format}"),
            Reads::Nagios => f.write_str(" as nagios"),
        }
    }
}

/// A command source in its running form.
#[derive(Debug)]
pub(super) struct Runner {
    command: Command,
    /// A killed process that has not ended yet, for example blocked in a read from a dead network mount. While
    /// it exists no other process starts, so that they never pile up.
    unreaped: Option<Child>,
}

impl Runner {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            unreaped: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline, stop: &Cancellation) -> Found {
        if let Some(child) = &mut self.unreaped {
            if matches!(child.try_wait(), Ok(None)) {
                let id = child.id();
                return Failure::new(
                    Reason::Timeout,
                    format_args!("process {id} of an earlier poll was killed and has not ended"),
                )
                .into();
            }
            self.unreaped = None;
        }
        match self.command.start(None) {
            Ok(child) => self.supervise(child, deadline, stop),
            Err(failure) => failure.into(),
        }
    }

    /// Waits for a started command to end, and kills the processes that remain.
    fn supervise(&mut self, mut child: Child, deadline: Deadline, stop: &Cancellation) -> Found {
        let max_bytes = self.command.max_bytes;
        let mut output = Output::whole(child.stdout.take(), max_bytes);
        let mut errors = Output::end(child.stderr.take(), max_bytes, ERRORS_KEPT);
        let mut ended = watch(&child, &mut output, &mut errors, deadline, stop);
        // Before reaping: while the leader exists, if only as a zombie, its number cannot become that of
        // another group.
        kill_group(Pid::from_child(&child));
        if matches!(ended, Ended::Itself) {
            // Its last output is in the pipes. Neither read waits.
            while let Ok(true) = output.read_more() {}
            while let Ok(true) = errors.read_more() {}
            if let Some(failure) = flood(&output, &errors) {
                ended = Ended::Cut(failure);
            }
        }
        let status = self.reap(child);
        let error_line = errors.last_line();
        match (ended, status) {
            (Ended::Cut(failure), _) => {
                with_error_line(failure.reason, &failure.detail, &error_line).into()
            }
            (Ended::Itself, Some(status)) => {
                finished(&self.command, status, output.into_bytes(), &error_line)
            }
            (Ended::Itself, None) => {
                Failure::new(Reason::Other, "another process took its exit status").into()
            }
        }
    }

    /// Reaps a process that ended or was killed. One that the kernel cannot end yet is left for the next poll.
    /// Also `None` where the system reaps by itself (SIGCHLD is ignored).
    fn reap(&mut self, mut child: Child) -> Option<ExitStatus> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if started.elapsed() < GRACE => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(END_TICK);
                }
                Ok(None) => {
                    self.unreaped = Some(child);
                    return None;
                }
                Err(_) => return None,
            }
        }
    }
}

/// The reading of a command that ended by itself.
fn finished(command: &Command, status: ExitStatus, output: Vec<u8>, error_line: &str) -> Found {
    let format = match command.reads {
        Reads::Format(format) => format,
        Reads::Nagios => return plugin_finished(status, output, error_line),
    };
    let code = status.code().and_then(|code| u16::try_from(code).ok());
    if code.is_some_and(|code| command.expect_exit.contains(code)) {
        return Found {
            exit: status.code(),
            ..Found::body(format, output)
        };
    }
    let failure = failed(status, error_line);
    Found {
        exit: status.code(),
        ..Found::from(failure).with_text(output)
    }
}

/// The failure of a program that ended with this status.
fn failed(status: ExitStatus, error_line: &str) -> Failure {
    match (status.code(), status.signal()) {
        (Some(code), _) => with_error_line(Reason::Exit, &format!("status {code}"), error_line),
        (None, Some(signal)) => {
            with_error_line(Reason::Signal, &format!("signal {signal}"), error_line)
        }
        (None, None) => Failure::new(Reason::Other, status),
    }
}

/// The reading of a monitoring plugin that ended by itself.
fn plugin_finished(status: ExitStatus, output: Vec<u8>, error_line: &str) -> Found {
    let by_format = match status.code() {
        Some(0..=2) => Found::body(Format::Text, output),
        _ => Found::from(failed(status, error_line)).with_text(output),
    };
    let plugin = nagios::read(by_format.text.as_deref().unwrap_or_default());
    let outcome = match (status.code(), by_format.outcome) {
        // Bytes that are not UTF-8 do not invalidate the status.
        (Some(0..=2), _) => Ok(Content::Perf(plugin.perf)),
        // A plugin explains itself in its first line.
        (Some(code), Err(failure)) if error_line.is_empty() => Err(with_error_line(
            failure.reason,
            &format!("status {code}"),
            &plugin.text,
        )),
        (_, outcome) => outcome,
    };
    Found {
        exit: status.code(),
        text: Some(plugin.text),
        outcome,
        ..by_format
    }
}

/// Makes the command run as another user, in a session of its own, without supplementary groups: std drops all of root's when it changes
/// the user.
fn become_user(command: &mut process::Command, user: &User) -> Result<(), Failure> {
    // Both, because std checks the real one before it drops the groups.
    if !rustix::process::getuid().is_root() || !rustix::process::geteuid().is_root() {
        return Err(Failure::new(
            Reason::Denied,
            "only a collector that runs as root can run a command as another user",
        ));
    }
    let account = Accounts::read()
        .and_then(|accounts| accounts.find(&user.user, user.group.as_deref()))
        .map_err(|wrong| Failure::new(Reason::Missing, wrong))?;
    command.uid(account.uid).gid(account.gid);
    session::begin(command).map_err(|error| Failure::new(Reason::Other, error))?;
    if let Some((name, home)) = &account.known {
        command
            .env("USER", name)
            .env("LOGNAME", name)
            .env("HOME", home);
    }
    Ok(())
}

/// A failure with the last line of the command's error output.
fn with_error_line(reason: Reason, detail: &str, error_line: &str) -> Failure {
    if error_line.is_empty() {
        Failure::new(reason, detail)
    } else {
        Failure::new(reason, format_args!("{detail}: {error_line}"))
    }
}
