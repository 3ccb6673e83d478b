//! Parses the command line into [`Arguments`] or a [`UsageError`]. An option takes its value from the next argument or
//! after a `=`. If an option is given twice, the last one applies; `--listen` may be repeated.
//!
//! Not here: the environment, and opening what the arguments name.

use crate::address::Address;
use crate::http;
use crate::name::NameRef;
use crate::reply::Fallback;
use crate::text::{index_of, item};
use agentcheck_common::DEFAULT_STATE_DIR;
use agentcheck_common::decimal::parse_decimal;
use core::time::Duration;

/// The text of `--help`. It contains tabs, because spaces would take 400 bytes more.
pub const HELP: &[u8] = b"\
Usage: agentcheck-responder [OPTION]... [NAME | --name-from-client]

Sends HAProxy the current reply of service NAME, on the connection of standard
input or on listening sockets. The collector writes the reply to
/run/agentcheck/NAME.state.

 --name-from-client\tread the service name from the client (agent-send)
 --default-service NAME\tthe service of clients that send nothing
 --state-dir DIR\tread state files from DIR (/run/agentcheck)
 --fallback REPLY\tsend REPLY if there is no valid state file
 --http\t\t\tanswer HTTP, too: /NAME, /NAME/weight, /load, /json
 --http-drain-status N\tstatus of a drained server: 503 (default) or 404
 --http-fallback N\tstatus without valid state file: 503 (default), 200
 --http-documents\tserve /-/metrics and /-/page
 --listen ADDRESS\tlisten on 127.0.0.1:3333, [::1]:3333, *:3333 or
\t\t\tunix:PATH; may be repeated
 --idle DURATION\texit after 60s (default), 5m, ... without clients, or
\t\t\toff (default with --listen)
 --help, --version\tprint this text, print the version

See agentcheck-responder(8) and agentcheck.state(5).
";

/// The text of `--version`.
pub const VERSION: &[u8] =
    concat!("agentcheck-responder ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// The largest number of `--listen` options.
pub const MAX_LISTEN: usize = 16;

/// The largest length of `--state-dir`, in bytes.
pub const MAX_STATE_DIR: usize = 900;

/// What the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answers clients.
    Answer,
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// How to answer.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// The service to answer for.
    pub service: Service<'a>,
    /// The directory of the state files: 1 to [`MAX_STATE_DIR`] bytes.
    pub state_dir: &'a [u8],
    /// The reply if there is no valid state file.
    pub fallback: Option<Fallback<'a>>,
    /// How long the accept loop waits without clients before it ends: 1 ms to 365 days, or [`Duration::MAX`] for `off`.
    /// `None` if the option is not given: the default depends on the launcher.
    pub idle: Option<Duration>,
    /// The `--http` options.
    pub http: http::Options,
    /// The addresses to listen on, in the given order: texts that [`Address::parse`] accepts.
    pub listen: [Option<&'a [u8]>; MAX_LISTEN],
}

/// The service to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// The command line is invalid.
    Invalid,
    /// The command line names no service; the socket unit may name one.
    Unnamed,
    /// The service that the command line names.
    Named(NameRef<'a>),
    /// The service that the client names.
    FromClient {
        /// The service of clients that send nothing.
        default: Option<NameRef<'a>>,
    },
}

impl Service<'_> {
    /// The same service for a client that may still send a name.
    #[must_use]
    pub fn without_default(self) -> Self {
        match self {
            Self::FromClient { .. } => Self::FromClient { default: None },
            other => other,
        }
    }
}

impl<'a> Arguments<'a> {
    /// The arguments of an empty command line. Not a constant: the program would contain it, and most of its bytes are 0.
    #[must_use]
    #[inline(never)]
    pub fn defaults() -> Self {
        Self {
            service: Service::Unnamed,
            state_dir: DEFAULT_STATE_DIR.as_bytes(),
            fallback: None,
            listen: [None; MAX_LISTEN],
            idle: None,
            http: http::Options::default(),
        }
    }

    /// Whether the client's request selects the answer.
    #[must_use]
    pub fn needs_request(&self) -> bool {
        self.http.enabled || matches!(self.service, Service::FromClient { .. })
    }
}

/// Why a command line is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageError<'a> {
    /// The invalid argument.
    pub argument: &'a [u8],
    /// The reason.
    pub reason: Mistake,
}

/// A mistake on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no such option.
    UnknownOption,
    /// An option without a value has one.
    HasValue,
    /// An option has no value.
    NoValue,
    /// A second NAME.
    SecondName,
    /// NAME and `--name-from-client`.
    NameAndFromClient,
    /// `--default-service` without `--name-from-client`.
    DefaultWithoutFromClient,
    /// The value of `--state-dir` is empty or too long.
    StateDir,
    /// The value of `--fallback` is not a reply.
    Fallback,
    /// The value of `--http-drain-status` is not allowed.
    DrainStatus,
    /// The value of `--http-fallback` is not allowed.
    HttpFallback,
    /// The value of `--listen` is not an address.
    Listen,
    /// More than [`MAX_LISTEN`] addresses.
    TooManyAddresses,
    /// The value of `--idle` is not a duration.
    Idle,
    /// A text is not a service name.
    NotAName,
}

impl Mistake {
    const TEXTS: &'static [u8] = b"unknown option\n\
        the option takes no value\n\
        the option requires a value\n\
        only one NAME is allowed\n\
        write either NAME or --name-from-client\n\
        --default-service requires --name-from-client\n\
        write a directory of 1 to 900 bytes\n\
        HAProxy does not understand this reply\n\
        write 503 or 404\n\
        write 503 or 200\n\
        write IPV4:PORT, [IPV6]:PORT, *:PORT or unix:PATH\n\
        at most 16 addresses are allowed\n\
        write a number and ms, s, m, h or d, or off\n\
        write a service name: 1 to 64 letters, digits, . _ and -, beginning with a letter or digit";

    /// The message: the fault, or the form to write.
    #[must_use]
    pub fn text(self) -> &'static [u8] {
        item(Self::TEXTS, self as usize)
    }
}

/// An option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    NameFromClient,
    DefaultService,
    StateDir,
    Fallback,
    Http,
    HttpDrainStatus,
    HttpFallback,
    HttpDocuments,
    Listen,
    Idle,
    Help,
    Version,
    End,
}

impl Flag {
    /// The options' texts, in the order of `VALUES`.
    const TEXTS: &'static [u8] = b"--name-from-client\n--default-service\n--state-dir\n--fallback\n--http\n\
        --http-drain-status\n--http-fallback\n--http-documents\n--listen\n--idle\n--help\n-h\n--version\n-V\n--";
    const VALUES: [Self; 15] = [
        Self::NameFromClient,
        Self::DefaultService,
        Self::StateDir,
        Self::Fallback,
        Self::Http,
        Self::HttpDrainStatus,
        Self::HttpFallback,
        Self::HttpDocuments,
        Self::Listen,
        Self::Idle,
        Self::Help,
        Self::Help,
        Self::Version,
        Self::Version,
        Self::End,
    ];

    fn parse(text: &[u8]) -> Option<Self> {
        Self::VALUES.get(index_of(Self::TEXTS, text)?).copied()
    }

    fn is_http(self) -> bool {
        matches!(
            self,
            Self::Http | Self::HttpDocuments | Self::HttpDrainStatus | Self::HttpFallback
        )
    }

    fn takes_value(self) -> bool {
        !matches!(
            self,
            Self::NameFromClient
                | Self::Http
                | Self::HttpDocuments
                | Self::Help
                | Self::Version
                | Self::End
        )
    }
}

/// Parses the arguments that follow the program's name into `parsed`, which contains the defaults. Unless the program
/// answers clients, `parsed` then contains the defaults and [`Service::Invalid`].
///
/// # Errors
/// The first error from the left.
pub fn parse<'a>(
    arguments: impl Iterator<Item = &'a [u8]>,
    parsed: &mut Arguments<'a>,
) -> Result<Command, UsageError<'a>> {
    let command = parse_all(arguments, parsed);
    if command != Ok(Command::Answer) {
        *parsed = Arguments::defaults();
        parsed.service = Service::Invalid;
    }
    command
}

// Not inlined: the caller's stack frame is large, and its instructions are long.
#[inline(never)]
fn parse_all<'a>(
    mut arguments: impl Iterator<Item = &'a [u8]>,
    parsed: &mut Arguments<'a>,
) -> Result<Command, UsageError<'a>> {
    let mut parsed = Parsed {
        arguments: parsed,
        name: None,
        from_client: false,
        default: None,
    };
    let mut options_end = false;
    let mut last: &[u8] = b"";
    while let Some(argument) = arguments.next() {
        last = argument;
        let mut next = || arguments.next();
        let result = if options_end || !argument.starts_with(b"-") {
            parsed.take_name(argument)
        } else {
            parsed.take_option(argument, &mut next)
        };
        match result {
            Ok(Flag::Help) => return Ok(Command::Help),
            Ok(Flag::Version) => return Ok(Command::Version),
            Ok(Flag::End) => options_end = true,
            Ok(_) => {}
            Err(reason) => return Err(UsageError { argument, reason }),
        }
    }
    match parsed.service() {
        Ok(service) => parsed.arguments.service = service,
        Err(reason) => {
            let argument = last;
            return Err(UsageError { argument, reason });
        }
    }
    Ok(Command::Answer)
}

/// The arguments so far.
struct Parsed<'p, 'a> {
    arguments: &'p mut Arguments<'a>,
    name: Option<NameRef<'a>>,
    from_client: bool,
    default: Option<NameRef<'a>>,
}

impl<'a> Parsed<'_, 'a> {
    fn take_name(&mut self, argument: &'a [u8]) -> Result<Flag, Mistake> {
        if self.name.is_some() {
            return Err(Mistake::SecondName);
        }
        self.name = Some(NameRef::parse(argument).ok_or(Mistake::NotAName)?);
        // The caller does nothing for this flag.
        Ok(Flag::NameFromClient)
    }

    /// Applies an option. `next` returns the next argument, which may be the option's value.
    fn take_option(
        &mut self,
        argument: &'a [u8],
        next: &mut dyn FnMut() -> Option<&'a [u8]>,
    ) -> Result<Flag, Mistake> {
        let equals = argument.iter().position(|byte| *byte == b'=');
        let option = argument.get(..equals.unwrap_or(argument.len()));
        let flag = Flag::parse(option.unwrap_or_default()).ok_or(Mistake::UnknownOption)?;
        let value = match equals {
            Some(_) if !flag.takes_value() => return Err(Mistake::HasValue),
            Some(at) => argument.get(at + 1..),
            None if flag.takes_value() => next(),
            None => Some(b"".as_slice()),
        };
        let value = value.ok_or(Mistake::NoValue)?;
        let parsed = &mut *self.arguments;
        match flag {
            Flag::NameFromClient => self.from_client = true,
            Flag::DefaultService => {
                self.default = Some(NameRef::parse(value).ok_or(Mistake::NotAName)?);
            }
            Flag::StateDir => {
                if !matches!(value.len(), 1..=MAX_STATE_DIR) {
                    return Err(Mistake::StateDir);
                }
                parsed.state_dir = value;
            }
            Flag::Fallback => {
                let line = Fallback::parse(value);
                parsed.fallback = Some(line.ok_or(Mistake::Fallback)?);
            }
            Flag::Http => {}
            Flag::HttpDocuments => parsed.http.documents = true,
            Flag::HttpDrainStatus => {
                let index = index_of(b"503\n404", value).ok_or(Mistake::DrainStatus)?;
                parsed.http.drain_is_not_found = index > 0;
            }
            Flag::HttpFallback => {
                let index = index_of(b"503\n200", value).ok_or(Mistake::HttpFallback)?;
                parsed.http.fallback_is_ok = index > 0;
            }
            Flag::Listen => {
                if Address::parse(value).is_none() {
                    return Err(Mistake::Listen);
                }
                let free = parsed.listen.iter_mut().find(|slot| slot.is_none());
                *free.ok_or(Mistake::TooManyAddresses)? = Some(value);
            }
            Flag::Idle => {
                parsed.idle = Some(idle(value).ok_or(Mistake::Idle)?);
            }
            Flag::Help | Flag::Version | Flag::End => {}
        }
        if flag.is_http() {
            parsed.http.enabled = true;
        }
        Ok(flag)
    }

    fn service(&self) -> Result<Service<'a>, Mistake> {
        match (self.name, self.from_client, self.default) {
            (None, false, None) => Ok(Service::Unnamed),
            (Some(name), false, None) => Ok(Service::Named(name)),
            (None, true, default) => Ok(Service::FromClient { default }),
            (Some(_), true, _) => Err(Mistake::NameAndFromClient),
            (_, false, Some(_)) => Err(Mistake::DefaultWithoutFromClient),
        }
    }
}

/// Parses `off`, or a number and a unit.
fn idle(text: &[u8]) -> Option<Duration> {
    const UNITS: &[u8] = b"ms\ns\nm\nmin\nh\nd";
    const MILLISECONDS: [u32; 6] = [1, 1_000, 60_000, 60_000, 3_600_000, 86_400_000];
    const LONGEST: u64 = 365 * 86_400_000;
    if text == b"off" {
        return Some(Duration::MAX);
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let (number, unit) = text.split_at_checked(digits.count())?;
    let unit = *MILLISECONDS.get(index_of(UNITS, unit)?)?;
    let span = parse_decimal(number)?.checked_mul(unit.into())?;
    matches!(span, 1..=LONGEST).then(|| Duration::from_millis(span))
}

#[cfg(test)]
mod tests;
