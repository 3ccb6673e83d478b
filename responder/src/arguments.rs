//! Parses the command line into [`Arguments`] or a [`UsageError`]. An option takes its value from the next argument or
//! after a `=`. If an option is given twice, the last one applies; `--listen` may be repeated.
//!
//! Not here: the environment, and opening what the arguments name.

use crate::address::Address;
use crate::http;
use crate::name::NameRef;
use crate::reply::Fallback;
use crate::text::index_of;
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
#[derive(Clone, Debug, PartialEq, Eq)]
// A process has one value of it, and there is no allocator to box it with.
#[allow(clippy::large_enum_variant)]
pub enum Command<'a> {
    /// Answers clients.
    Answer(Arguments<'a>),
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
    /// The idle timeout of the accept loop.
    pub idle: Idle,
    /// The `--http` options.
    pub http: http::Options,
    /// The addresses to listen on, in the given order: texts that [`Address::parse`] accepts.
    pub listen: [Option<&'a [u8]>; MAX_LISTEN],
}

/// The service to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
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

    /// Whether the client's request selects the service.
    #[must_use]
    pub fn needs_request(self) -> bool {
        matches!(self, Self::FromClient { .. })
    }
}

/// When an accept loop without clients ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The option is not given: the default depends on the launcher.
    Default,
    /// Never.
    Never,
    /// After this time without a connection: 1 ms to 365 days.
    After(Duration),
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
            idle: Idle::Default,
            http: http::Options::default(),
        }
    }
}

/// Why a command line is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageError<'a> {
    /// The invalid argument.
    pub argument: &'a [u8],
    /// The reason.
    pub reason: &'static str,
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

/// Parses the arguments that follow the program's name.
///
/// # Errors
/// The first error from the left.
pub fn parse<'a>(
    mut arguments: impl Iterator<Item = &'a [u8]>,
) -> Result<Command<'a>, UsageError<'a>> {
    let mut parsed = Parsed {
        arguments: Arguments::defaults(),
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
    match parsed.finish() {
        Ok(arguments) => Ok(Command::Answer(arguments)),
        Err(reason) => Err(UsageError {
            argument: last,
            reason,
        }),
    }
}

/// The arguments so far.
struct Parsed<'a> {
    arguments: Arguments<'a>,
    name: Option<NameRef<'a>>,
    from_client: bool,
    default: Option<NameRef<'a>>,
}

impl<'a> Parsed<'a> {
    fn take_name(&mut self, argument: &'a [u8]) -> Result<Flag, &'static str> {
        if self.name.is_some() {
            return Err("only one NAME is allowed");
        }
        self.name = Some(NameRef::parse(argument).ok_or(NOT_A_NAME)?);
        // The caller does nothing for this flag.
        Ok(Flag::NameFromClient)
    }

    /// Applies an option. `next` returns the next argument, which may be the option's value.
    fn take_option(
        &mut self,
        argument: &'a [u8],
        next: &mut dyn FnMut() -> Option<&'a [u8]>,
    ) -> Result<Flag, &'static str> {
        let equals = argument.iter().position(|byte| *byte == b'=');
        let option = argument.get(..equals.unwrap_or(argument.len()));
        let flag = Flag::parse(option.unwrap_or_default()).ok_or("unknown option")?;
        let value = match equals {
            Some(_) if !flag.takes_value() => return Err("the option takes no value"),
            Some(at) => argument.get(at + 1..),
            None if flag.takes_value() => next(),
            None => Some(b"".as_slice()),
        };
        let value = value.ok_or("the option requires a value")?;
        let parsed = &mut self.arguments;
        match flag {
            Flag::NameFromClient => self.from_client = true,
            Flag::DefaultService => {
                self.default = Some(NameRef::parse(value).ok_or(NOT_A_NAME)?);
            }
            Flag::StateDir => {
                if !(1..=MAX_STATE_DIR).contains(&value.len()) {
                    return Err("write a directory of 1 to 900 bytes");
                }
                parsed.state_dir = value;
            }
            Flag::Fallback => {
                let line = Fallback::parse(value);
                parsed.fallback = Some(line.ok_or("HAProxy does not understand this reply")?);
            }
            Flag::Http => {}
            Flag::HttpDocuments => parsed.http.documents = true,
            Flag::HttpDrainStatus => {
                let index = index_of(b"503\n404", value).ok_or("write 503 or 404")?;
                parsed.http.drain_is_not_found = index > 0;
            }
            Flag::HttpFallback => {
                let index = index_of(b"503\n200", value).ok_or("write 503 or 200")?;
                parsed.http.fallback_is_ok = index > 0;
            }
            Flag::Listen => {
                if Address::parse(value).is_none() {
                    return Err("write IPV4:PORT, [IPV6]:PORT, *:PORT or unix:PATH");
                }
                let free = parsed.listen.iter_mut().find(|slot| slot.is_none());
                *free.ok_or("at most 16 addresses are allowed")? = Some(value);
            }
            Flag::Idle => {
                parsed.idle = idle(value).ok_or("write a number and ms, s, m, h or d, or off")?;
            }
            Flag::Help | Flag::Version | Flag::End => {}
        }
        if flag.is_http() {
            parsed.http.enabled = true;
        }
        Ok(flag)
    }

    fn finish(mut self) -> Result<Arguments<'a>, &'static str> {
        self.arguments.service = match (self.name, self.from_client, self.default) {
            (None, false, None) => Service::Unnamed,
            (Some(name), false, None) => Service::Named(name),
            (None, true, default) => Service::FromClient { default },
            (Some(_), true, _) => return Err("write either NAME or --name-from-client"),
            (_, false, Some(_)) => return Err("--default-service requires --name-from-client"),
        };
        Ok(self.arguments)
    }
}

const NOT_A_NAME: &str =
    "write a service name: 1 to 64 letters, digits, . _ and -, beginning with a letter or digit";

/// Parses `off`, or a number and a unit.
fn idle(text: &[u8]) -> Option<Idle> {
    const LONGEST: u64 = 365 * 86_400_000;
    if text == b"off" {
        return Some(Idle::Never);
    }
    let unit = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let milliseconds = match text.get(unit..)? {
        [b'm', b's'] => 1,
        [b's'] => 1_000,
        [b'm'] | [b'm', b'i', b'n'] => 60_000,
        [b'h'] => 3_600_000,
        [b'd'] => 86_400_000,
        _ => return None,
    };
    let span = parse_decimal(text.get(..unit)?)?.checked_mul(milliseconds)?;
    (1..=LONGEST)
        .contains(&span)
        .then(|| Idle::After(Duration::from_millis(span)))
}

#[cfg(test)]
mod tests;
