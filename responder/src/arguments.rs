//! The command line: from bytes to [`Arguments`], or to what is wrong with it. Every option takes its
//! value as the next argument or behind a `=`; where one is given twice, the last counts, but for
//! `--listen`, which adds up.
//!
//! Not here: the environment, and whether anything can be done with what was asked.

use crate::address::Address;
use crate::answer::Fallback;
use crate::name::Name;
use agentcheck_common::STATE_DIR;
use agentcheck_common::decimal::decimal;
use core::time::Duration;

/// What `--help` says.
pub const HELP: &[u8] = b"\
Usage: agentcheck-responder [OPTION]... [NAME]

Answers HAProxy's agent-check with what /run/agentcheck/NAME.state says: on the
connection it is started with, or on listening sockets.

  --ask                the client names the service, in the line that it sends
  --ask-default NAME   the service of a client that sends nothing; needs --ask
  --state-dir DIR      where the state files are (/run/agentcheck)
  --fallback REPLY     what is said where there is no valid state file
  --listen ADDRESS     listen there, may be repeated: 127.0.0.1:3333, [::1]:3333,
                       *:3333 (IPv4 and IPv6), unix:PATH
  --idle DURATION      end the accept loop when nobody asked for so long (60s, 5m,
                       off); default 60s, off with --listen
  --help               say this
  --version            say the version

See agentcheck-responder(8) and agentcheck.state(5).
";

/// What `--version` says.
pub const VERSION: &[u8] =
    concat!("agentcheck-responder ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// How many `--listen` there may be.
pub const MAX_LISTEN: usize = 16;

/// The longest `--state-dir`, in bytes: it has to fit into a path together with a name.
pub const MAX_STATE_DIR: usize = 900;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
// There is one of it in a process, and nothing to box it with.
#[allow(clippy::large_enum_variant)]
pub enum Command<'a> {
    /// To answer.
    Answer(Arguments<'a>),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// How to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// For which service.
    pub service: Service<'a>,
    /// The directory of the state files: 1 to [`MAX_STATE_DIR`] bytes.
    pub state_dir: &'a [u8],
    /// What to say where there is no valid file.
    pub fallback: Option<Fallback<'a>>,
    /// Where to listen, in the order given: texts that [`Address::parse`] takes.
    pub listen: [Option<&'a [u8]>; MAX_LISTEN],
    /// When an accept loop ends for want of clients.
    pub idle: Idle,
}

/// Which service is answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// None is named here; a socket may have a name.
    Unnamed,
    /// This one.
    Named(Name<'a>),
    /// The one that the client asks for.
    Asked {
        /// The one of clients that send nothing.
        silent: Option<Name<'a>>,
    },
}

/// When an accept loop ends for want of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// As fits the way of being started.
    Unsaid,
    /// Never.
    Never,
    /// After this time without a connection: 1 ms to 365 days.
    After(Duration),
}

impl<'a> Arguments<'a> {
    /// Nothing said. (A constant would be shipped as it is, most of it zeroes.)
    #[must_use]
    #[inline(never)]
    pub fn none() -> Self {
        Self {
            service: Service::Unnamed,
            state_dir: STATE_DIR.as_bytes(),
            fallback: None,
            listen: [None; MAX_LISTEN],
            idle: Idle::Unsaid,
        }
    }
}

/// What is wrong with a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong<'a> {
    /// The argument that cannot be taken.
    pub argument: &'a [u8],
    /// Why.
    pub why: &'static str,
}

/// An option that there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Ask,
    AskDefault,
    StateDir,
    Fallback,
    Listen,
    Idle,
    Help,
    Version,
    End,
}

impl Flag {
    /// How they are written, in the order of `MEANINGS`; one text, for a table of texts would be one of
    /// addresses and lengths, larger than what they are of.
    const WORDS: &'static [u8] =
        b"--ask --ask-default --state-dir --fallback --listen --idle --help -h \
        --version -V --";
    const MEANINGS: [Self; 11] = [
        Self::Ask,
        Self::AskDefault,
        Self::StateDir,
        Self::Fallback,
        Self::Listen,
        Self::Idle,
        Self::Help,
        Self::Help,
        Self::Version,
        Self::Version,
        Self::End,
    ];

    fn of(text: &[u8]) -> Option<Self> {
        let words = Self::WORDS.split(|byte| *byte == b' ');
        let mut all = words.zip(&Self::MEANINGS);
        all.find(|(word, _)| *word == text).map(|(_, flag)| *flag)
    }

    fn takes_value(self) -> bool {
        !matches!(self, Self::Ask | Self::Help | Self::Version | Self::End)
    }
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> Result<Command<'a>, Wrong<'a>> {
    let mut parsed = Arguments::none();
    let mut name = None;
    let mut ask = None;
    let mut silent = None;
    let mut options_end = false;
    while let Some(argument) = arguments.next() {
        let wrong = |why| Wrong { argument, why };
        if options_end || !argument.starts_with(b"-") {
            if name.is_some() {
                return Err(wrong("a second NAME"));
            }
            name = Some(Name::parse(argument).ok_or_else(|| wrong(NOT_A_NAME))?);
            continue;
        }
        let equals = argument.iter().position(|byte| *byte == b'=');
        let option = argument.get(..equals.unwrap_or(argument.len()));
        let flag = Flag::of(option.unwrap_or_default()).ok_or_else(|| wrong(UNKNOWN))?;
        let value = match equals {
            Some(_) if !flag.takes_value() => return Err(wrong(UNKNOWN)),
            Some(at) => argument.get(at + 1..),
            None if flag.takes_value() => arguments.next(),
            None => Some(b"".as_slice()),
        };
        let value = value.ok_or_else(|| wrong("it needs a value"))?;
        match flag {
            Flag::Ask => ask = Some(argument),
            Flag::AskDefault => {
                silent = Some(Name::parse(value).ok_or_else(|| wrong(NOT_A_NAME))?);
            }
            Flag::StateDir => {
                if !(1..=MAX_STATE_DIR).contains(&value.len()) {
                    return Err(wrong("a directory has 1 to 900 bytes"));
                }
                parsed.state_dir = value;
            }
            Flag::Fallback => {
                let line = Fallback::parse(value);
                parsed.fallback = Some(line.ok_or_else(|| wrong("not a reply for HAProxy"))?);
            }
            Flag::Listen => {
                if Address::parse(value).is_none() {
                    return Err(wrong(
                        "an address is IPV4:PORT, [IPV6]:PORT, *:PORT or unix:PATH",
                    ));
                }
                let free = parsed.listen.iter_mut().find(|slot| slot.is_none());
                *free.ok_or_else(|| wrong("more than 16 addresses"))? = Some(value);
            }
            Flag::Idle => {
                parsed.idle = idle(value).ok_or_else(|| {
                    wrong("a duration is a number and ms, s, m, h or d, or it is off")
                })?;
            }
            Flag::Help => return Ok(Command::Help),
            Flag::Version => return Ok(Command::Version),
            Flag::End => options_end = true,
        }
    }
    parsed.service = match (name, ask, silent) {
        (None, None, None) => Service::Unnamed,
        (Some(name), None, None) => Service::Named(name),
        (None, Some(_), silent) => Service::Asked { silent },
        (Some(_), Some(argument), _) => {
            return Err(Wrong {
                argument,
                why: "either a NAME or --ask",
            });
        }
        (_, None, Some(_)) => {
            return Err(Wrong {
                argument: b"--ask-default",
                why: "it needs --ask",
            });
        }
    };
    Ok(Command::Answer(parsed))
}

const NOT_A_NAME: &str = "a name is 1 to 64 letters, digits, . _ and -, a letter or digit first";
const UNKNOWN: &str = "there is no such option";

/// `off`, or a number and a unit.
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
    let span = decimal(text.get(..unit)?)?.checked_mul(milliseconds)?;
    (1..=LONGEST)
        .contains(&span)
        .then(|| Idle::After(Duration::from_millis(span)))
}

#[cfg(test)]
mod tests;
