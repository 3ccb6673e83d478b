//! Sources: what is polled, and how a poll is made. They know readings, nothing of rules.
//!
//! A [`Source`] is what the configuration says; a [`Poller`] is its running form, which keeps what one
//! poll hands to the next (a CPU sample, an HTTP client). A poll blocks the thread that it is made on.
//!
//! Not here: when to poll, on which thread, and what to do where a thread is stuck beyond its deadline
//! (the daemon's); what a reading means (evaluation's).

pub mod cancellation;
pub mod command;
mod dns;
mod endpoint;
pub mod file;
pub mod format;
pub mod http;
pub mod poll_schedule;
pub mod system;
pub mod tcp;

pub use cancellation::Cancellation;
pub use format::Format;
pub use poll_schedule::PollSchedule;

use crate::filters::debounce::DebouncePolicy;
use crate::reading::{Content, Failure, FileFacts, Reading, Reason};
use crate::sys::clock;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// The largest body, file or output that is taken, in bytes, where `max_bytes` says nothing.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// One source of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name, an identifier of the expression language.
    pub name: String,
    /// From the start of one poll to the start of the next.
    pub interval: Duration,
    /// By how much a poll may come earlier than `every` says, so that not all poll at once; see [`Pace`].
    pub jitter: Duration,
    /// How long one poll may take.
    pub timeout: Duration,
    /// How many polls it takes to believe that it failed, or is back.
    pub debounce: DebouncePolicy,
    /// What is polled.
    pub kind: Kind,
}

impl fmt::Display for Source {
    /// One line for people: `app: http http://127.0.0.1/load as json, every 2s, timeout 1s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, every {}, timeout {}",
            self.name,
            self.kind,
            humantime::format_duration(self.interval),
            humantime::format_duration(self.timeout)
        )
    }
}

/// The kinds of sources.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `[source.NAME.http]`
    Http(Box<http::Http>),
    /// `[source.NAME.file]`
    File(file::File),
    /// `[source.NAME.command]`
    Command(command::Command),
    /// `[source.NAME.system]`
    System(system::Metric),
    /// `[source.NAME.tcp]`
    Tcp(tcp::Tcp),
}

impl Kind {
    /// How what arrives is read; none where nothing arrives, or it is no body.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Http(http) => Some(http.format),
            Self::File(file) => file.format,
            Self::Command(command) => command.reads.format(),
            Self::Tcp(_) | Self::System(_) => None,
        }
    }

    /// Whether a poll waits for somebody: a server, a program, time to pass between two samples. The others
    /// take as long as the kernel needs.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Http(_) | Self::Command(_) | Self::Tcp(_) => true,
            Self::System(metric) => matches!(metric, system::Metric::Cpu { .. }),
            Self::File(_) => false,
        }
    }
}

impl fmt::Display for Kind {
    /// What is polled, on one line; no operator's text in it can end the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => http.fmt(f),
            Self::File(file) => file.fmt(f),
            Self::Command(command) => command.fmt(f),
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::System(metric) => write!(f, "system {metric}"),
        }
    }
}

/// A source that is being polled.
#[derive(Debug)]
pub struct Poller {
    timeout: Duration,
    running: Running,
}

/// What each kind keeps from one poll to the next.
#[derive(Debug)]
enum Running {
    Http(Box<http::Exchange>),
    File(file::File),
    Command(command::Runner),
    System(system::Sampler),
    Tcp(tcp::Caller),
}

impl Poller {
    /// The running form of `source`. Cheap, with no I/O: whatever can fail fails as a reading. It may be
    /// made before a fork into the background; threads are started with the first poll.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self {
            timeout: source.timeout,
            running: match &source.kind {
                Kind::Http(http) => Running::Http(Box::new(http::Exchange::new((**http).clone()))),
                Kind::File(file) => Running::File(file.clone()),
                Kind::Command(command) => Running::Command(command::Runner::new(command.clone())),
                Kind::Tcp(tcp) => Running::Tcp(tcp::Caller::new(tcp.clone())),
                Kind::System(metric) => Running::System(system::Sampler::new(metric.clone())),
            },
        }
    }

    /// Polls once, within the source's `timeout`.
    ///
    /// When `stop` is told to stop, a running command is killed and a wait between two CPU samples ends,
    /// and the reading is a failure that nobody needs. An HTTP exchange is not interrupted: it ends by
    /// its own deadline at the latest, and leaves nothing behind if the process exits before that.
    ///
    /// A file, a disk, or a program to be started, on a network mount that has gone away can hold this up
    /// for longer than `timeout`: the kernel gives no way to leave that. A command that was killed is given
    /// half a second more to be gone.
    pub fn poll(&mut self, stop: &Cancellation) -> Reading {
        let sent = clock::now();
        let deadline = Deadline::within(self.timeout);
        let found = match &mut self.running {
            _ if stop.is_stopped() => stopped().into(),
            Running::Http(exchange) => exchange.poll(deadline),
            Running::File(file) => file.poll(deadline),
            Running::Command(runner) => runner.poll(deadline, stop),
            Running::Tcp(caller) => caller.poll(deadline, stop),
            Running::System(sampler) => sampler.poll(deadline, stop),
        };
        Reading {
            sent,
            latency: clock::now().since(sent),
            status: found.status,
            exit: found.exit,
            text: found.text,
            file: found.file,
            outcome: found.outcome,
        }
    }
}

/// What a poll found, before the time is put to it. See [`Reading`].
#[derive(Debug, PartialEq)]
struct Found {
    status: Option<u16>,
    exit: Option<i32>,
    text: Option<String>,
    file: Option<FileFacts>,
    outcome: Result<Content, Failure>,
}

impl Found {
    /// A body that arrived whole, read as `format`.
    fn body(format: Format, body: Vec<u8>) -> Self {
        let outcome = format.read(&body);
        Self::outcome(outcome).with_text(body)
    }

    fn outcome(outcome: Result<Content, Failure>) -> Self {
        Self {
            status: None,
            exit: None,
            text: None,
            file: None,
            outcome,
        }
    }

    /// Bytes that are not UTF-8 become U+FFFD, so that a rule can still look at the rest.
    fn with_text(mut self, body: Vec<u8>) -> Self {
        self.text = Some(match String::from_utf8(body) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        });
        self
    }
}

impl From<Failure> for Found {
    fn from(failure: Failure) -> Self {
        Self::outcome(Err(failure))
    }
}

/// The end of one poll. Kept as a start and a span, because the sum of the two may not exist.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    started: Instant,
    timeout: Duration,
}

impl Deadline {
    fn within(timeout: Duration) -> Self {
        Self {
            started: Instant::now(),
            timeout,
        }
    }

    fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The failure of a poll that ran into it; `what` is what had not come by then.
    fn failure(&self, what: &str) -> Failure {
        let timeout = humantime::format_duration(self.timeout);
        Failure::new(Reason::Timeout, format_args!("{what} within {timeout}"))
    }
}

/// The failure for more than `max_bytes` of `what`.
fn too_large(what: &str, max_bytes: usize) -> Failure {
    Failure::new(
        Reason::TooLarge,
        format_args!("{what} of more than {max_bytes} bytes"),
    )
}

/// The failure of a poll that was told to stop.
fn stopped() -> Failure {
    Failure::new(Reason::Other, "stopped")
}

/// The reason that an error of the operating system stands for.
fn io_reason(error: &io::Error) -> Reason {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory => Reason::Missing,
        Kind::PermissionDenied => Reason::Denied,
        Kind::ConnectionRefused => Reason::Refused,
        Kind::TimedOut => Reason::Timeout,
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable => Reason::Unreachable,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::BrokenPipe
        | Kind::UnexpectedEof
        | Kind::StaleNetworkFileHandle => Reason::Broken,
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Reason::Broken,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: Kind) -> Source {
        Source {
            name: "app".to_owned(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_millis(1500),
            jitter: Duration::ZERO,
            debounce: DebouncePolicy::default(),
            kind,
        }
    }

    #[test]
    fn a_source_describes_itself_on_one_line() {
        let cases = [
            (
                Kind::Http(Box::new(http::Http {
                    format: Format::Json,
                    ..http::Http::get("http://127.0.0.1/load")
                })),
                "app: http http://127.0.0.1/load as json, every 2s, timeout 1s 500ms",
            ),
            (
                Kind::File(file::File {
                    format: Some(Format::Number),
                    ..file::File::at("/run/a\nb")
                }),
                "app: file \"/run/a\\nb\" as number, every 2s, timeout 1s 500ms",
            ),
            (
                Kind::Command(command::Command::of(&["check", "-H\n"])),
                "app: command [\"check\", \"-H\\n\"] as text, every 2s, timeout 1s 500ms",
            ),
            (
                Kind::System(system::Metric::Cpu { cgroup: None }),
                "app: system cpu, every 2s, timeout 1s 500ms",
            ),
            (
                Kind::System(system::Metric::Pressure {
                    resource: system::Resource::Io,
                    cgroup: Some(system::Cgroup::Path("/a\nb".to_owned())),
                }),
                "app: system pressure on io of cgroup \"/a\\nb\", every 2s, timeout 1s 500ms",
            ),
        ];
        for (kind, line) in cases {
            assert_eq!(source(kind).to_string(), line);
        }
    }

    #[test]
    fn a_deadline_that_never_comes_is_no_overflow() {
        let deadline = Deadline::within(Duration::MAX);
        assert!(!deadline.has_passed());
        assert!(deadline.remaining() > Duration::from_secs(u64::MAX / 2));
    }

    #[test]
    fn nothing_is_started_once_stopped() {
        let stop = Cancellation::new();
        stop.stop();
        let touched =
            std::env::temp_dir().join(format!("agentcheck-stopped-{}", std::process::id()));
        let mut poller = Poller::new(&source(Kind::Command(command::Command::of(&[
            "touch",
            &touched.display().to_string(),
        ]))));
        assert_eq!(poller.poll(&stop).outcome, Err(stopped()));
        assert!(!touched.exists());
    }

    #[test]
    fn a_reading_is_as_old_as_its_question() {
        let before = clock::now();
        let mut poller = Poller::new(&source(Kind::Command(command::Command::of(&[
            "sleep", "0.2",
        ]))));
        let between = clock::now();
        let reading = poller.poll(&Cancellation::new());
        assert!(reading.is_ok(), "{reading:?}");
        assert!(reading.sent >= before);
        assert!(reading.latency >= Duration::from_millis(200));
        assert!(clock::now().since(reading.sent) >= reading.latency);
        assert!(reading.sent >= between);
    }
}
