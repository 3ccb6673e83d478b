//! Sources: what the collector polls, and how one poll works. Sources return readings and know nothing of
//! rules.
//!
//! A [`Source`] is the configuration. A [`Poller`] is its running form and keeps state between polls (a CPU
//! sample, an HTTP client). A poll blocks its thread.
//!
//! Not here: when and on which thread a poll runs (`daemon`); what a reading means (`decision`).

pub mod cancellation;
pub mod command;
mod connect;
mod dns;
mod endpoint;
pub mod file;
pub mod format;
pub mod http;
pub mod poll_schedule;
mod ranges;
mod secret;
pub mod stream;
pub mod system;
pub mod tcp;

pub use cancellation::Cancellation;
pub use format::Format;
pub use poll_schedule::PollSchedule;
pub use ranges::Ranges;
pub use secret::Secret;

use crate::filters::debounce::DebouncePolicy;
use crate::reading::{Content, Failure, FileFacts, Reading, Reason};
use crate::sys::clock;
use agentcheck_common::BootTime;
use format::normal_text;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// The default of `max_bytes`: the largest body, file or output that a poll accepts, in bytes.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// One source of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name, an identifier of the expression language.
    pub name: String,
    /// The time from the start of one poll to the start of the next.
    pub interval: Duration,
    /// How much earlier than `interval` a poll may start, so that sources do not all poll together; see
    /// [`PollSchedule`].
    pub jitter: Duration,
    /// The time limit of one poll.
    pub timeout: Duration,
    /// How many polls make a failure or a recovery.
    pub debounce: DebouncePolicy,
    /// `text = "raw"`: the text of a reading keeps its line ends and its byte order mark.
    pub raw_text: bool,
    /// The polled object.
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
    Command(Box<command::Command>),
    /// `[source.NAME.system]`
    System(system::Metric),
    /// `[source.NAME.tcp]`
    Tcp(Box<tcp::Tcp>),
    /// `[source.NAME.stream]`
    Stream(Box<stream::Stream>),
}

impl Kind {
    /// The format of the body; `None` where the kind has no body.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Http(http) => Some(http.format),
            Self::File(file) => file.format,
            Self::Command(command) => command.reads.format(),
            Self::Stream(stream) => stream.command.reads.format(),
            Self::Tcp(tcp) => tcp.conversation.as_ref().map(|talk| talk.format),
            Self::System(_) => None,
        }
    }

    /// Whether a poll waits for a server, a program or a second sample. The others take as long as the kernel
    /// needs.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Http(_) | Self::Command(_) | Self::Tcp(_) | Self::Stream(_) => true,
            Self::System(metric) => matches!(
                metric,
                system::Metric::Cpu { .. } | system::Metric::Network { .. }
            ),
            Self::File(_) => false,
        }
    }
}

impl fmt::Display for Kind {
    /// The polled object, on one line: no configured text can end the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => http.fmt(f),
            Self::File(file) => file.fmt(f),
            Self::Command(command) => command.fmt(f),
            Self::Tcp(tcp) => tcp.fmt(f),
            Self::Stream(stream) => stream.fmt(f),
            Self::System(metric) => write!(f, "system {metric}"),
        }
    }
}

/// A source in its running form.
#[derive(Debug)]
pub struct Poller {
    timeout: Duration,
    raw_text: bool,
    running: Running,
}

/// The state that each kind keeps between polls.
#[derive(Debug)]
enum Running {
    Http(Box<http::Exchange>),
    File(file::Reader),
    Command(Box<command::Runner>),
    System(Box<system::Sampler>),
    Tcp(Box<tcp::Connector>),
    Stream(Box<stream::Reader>),
}

impl Poller {
    /// The running form of `source`. Cheap and without I/O: every failure becomes a reading. It may be made
    /// before a fork into the background, because threads start with the first poll.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self {
            timeout: source.timeout,
            raw_text: source.raw_text,
            running: match &source.kind {
                Kind::Http(http) => Running::Http(Box::new(http::Exchange::new((**http).clone()))),
                Kind::File(file) => Running::File(file::Reader::new(file.clone())),
                Kind::Command(command) => {
                    Running::Command(Box::new(command::Runner::new((**command).clone())))
                }
                Kind::Tcp(tcp) => Running::Tcp(Box::new(tcp::Connector::new((**tcp).clone()))),
                Kind::Stream(stream) => {
                    let reader = stream::Reader::new((**stream).clone(), source.interval);
                    Running::Stream(Box::new(reader))
                }
                Kind::System(metric) => {
                    Running::System(Box::new(system::Sampler::new(metric.clone())))
                }
            },
        }
    }

    /// Polls once, within the source's `timeout`.
    ///
    /// When `stop` is raised, a running command is killed, a wait for a second CPU sample ends, and the reading
    /// is a failure. An HTTP exchange is not interrupted: it ends by its own deadline.
    ///
    /// A file, a disk or a program on a dead network mount can block longer than `timeout`: the kernel offers
    /// no way out. A killed command gets half a second more to end.
    pub fn poll(&mut self, stop: &Cancellation) -> Reading {
        let sent = clock::now();
        let deadline = Deadline::within(self.timeout);
        let found = match &mut self.running {
            _ if stop.is_stopped() => stopped().into(),
            Running::Http(exchange) => exchange.poll(deadline),
            Running::File(reader) => reader.poll(deadline),
            Running::Command(runner) => runner.poll(deadline, stop),
            Running::Tcp(connector) => connector.poll(deadline, stop),
            Running::Stream(reader) => reader.poll(deadline, stop),
            Running::System(sampler) => sampler.poll(deadline, stop),
        };
        let text = match found.text {
            Some(text) if !self.raw_text => Some(normal_text(text)),
            text => text,
        };
        Reading {
            sent: found.sent.unwrap_or(sent),
            latency: match found.sent {
                Some(_) => Duration::ZERO,
                None => clock::now().since(sent),
            },
            status: found.status,
            exit: found.exit,
            text,
            file: found.file,
            outcome: found.outcome,
        }
    }
}

/// The result of a poll, before its times are added. See [`Reading`].
#[derive(Debug, PartialEq)]
struct Found {
    /// When the content arrived, where that is not the answer to this poll.
    sent: Option<BootTime>,
    status: Option<u16>,
    exit: Option<i32>,
    text: Option<String>,
    file: Option<FileFacts>,
    outcome: Result<Content, Failure>,
}

impl Found {
    /// A complete body, read as `format`.
    fn body(format: Format, body: Vec<u8>) -> Self {
        let outcome = format.read(&body);
        Self::outcome(outcome).with_text(body)
    }

    fn outcome(outcome: Result<Content, Failure>) -> Self {
        Self {
            sent: None,
            status: None,
            exit: None,
            text: None,
            file: None,
            outcome,
        }
    }

    /// Bytes that are not UTF-8 become U+FFFD, so that rules can read the rest.
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

/// The end of one poll. A start and a span, because their sum could overflow.
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

    /// The failure of a poll that reached its deadline; `missing` names what did not arrive.
    fn failure(&self, missing: &str) -> Failure {
        let timeout = humantime::format_duration(self.timeout);
        Failure::new(Reason::Timeout, format_args!("{missing} within {timeout}"))
    }
}

/// The failure of a poll that received more than `max_bytes` of `content`.
fn too_large(content: &str, max_bytes: usize) -> Failure {
    Failure::new(
        Reason::TooLarge,
        format_args!("{content} of more than {max_bytes} bytes"),
    )
}

/// The failure of a poll that was stopped.
fn stopped() -> Failure {
    Failure::new(Reason::Other, "stopped")
}

/// The reason for an error of the operating system.
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
            raw_text: false,
            kind,
        }
    }

    #[test]
    fn source_is_shown_on_one_line() {
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
                Kind::Command(Box::new(command::Command::new(&["check", "-H\n"]))),
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
    fn longest_deadline_does_not_overflow() {
        let deadline = Deadline::within(Duration::MAX);
        assert!(!deadline.has_passed());
        assert!(deadline.remaining() > Duration::from_secs(u64::MAX / 2));
    }

    #[test]
    fn stopped_poller_starts_nothing() {
        let stop = Cancellation::new();
        stop.stop();
        let touched =
            std::env::temp_dir().join(format!("agentcheck-stopped-{}", std::process::id()));
        let mut poller = Poller::new(&source(Kind::Command(Box::new(command::Command::new(&[
            "touch",
            &touched.display().to_string(),
        ])))));
        assert_eq!(poller.poll(&stop).outcome, Err(stopped()));
        assert!(!touched.exists());
    }

    #[test]
    fn reading_is_dated_from_the_start_of_its_poll() {
        let before = clock::now();
        let mut poller = Poller::new(&source(Kind::Command(Box::new(command::Command::new(&[
            "sleep", "0.2",
        ])))));
        let between = clock::now();
        let reading = poller.poll(&Cancellation::new());
        assert!(reading.is_ok(), "{reading:?}");
        assert!(reading.sent >= before);
        assert!(reading.latency >= Duration::from_millis(200));
        assert!(clock::now().since(reading.sent) >= reading.latency);
        assert!(reading.sent >= between);
    }

    #[test]
    fn text_of_a_reading_is_normal_or_raw() {
        let command = command::Command::new(&["printf", r"a\r\nb\r\n"]);
        let poll = |raw_text| {
            let source = Source {
                raw_text,
                ..source(Kind::Command(Box::new(command.clone())))
            };
            Poller::new(&source).poll(&Cancellation::new()).text
        };
        assert_eq!(poll(false).as_deref(), Some("a\nb"));
        assert_eq!(poll(true).as_deref(), Some("a\r\nb\r\n"));
    }
}
