//! Reads a client's request: a service name that HAProxy sends with `agent-send "web\n"`, or with `--http` the head of an
//! HTTP request.
//!
//! The name is the first line without the spaces and tabs around it. LF, CR, CR LF or the end of the client's data ends
//! the line. A line that has not ended at the timeout is never a name. It may be the first part of a longer name whose
//! second segment was lost: a client that sends `web-admin` must not get the reply of `web`. HAProxy's CLI sets agent-send
//! without a newline. Such a client gets `no-newline:web` before its own timeout, so the operator sees the cause.
//!
//! Not here: the clock and the socket.

use crate::arguments::Service;
use crate::http::head::{Head, Progress};
use crate::http::line::RequestLine;
use crate::http::{self, Content, Status};
use crate::name::NameRef;
use crate::reply::{NoName, Target};
use crate::text::copy;

/// The largest length of a first line that is kept unchanged, in bytes. It has room for a name with spaces around it, and
/// for the longest request line that names a service.
pub const MAX_LINE: usize = 128;

/// The number of bytes at the end of a longer request line that are always kept: those of the version.
const VERSION_LENGTH: usize = " HTTP/1.x".len();

/// The largest number of drops in a request line, which limits it to about 8 KiB.
const MAX_DROPS: u16 = 8192 / VERSION_LENGTH as u16;

/// What the first line of a client contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedName<'l> {
    /// The client sent no bytes.
    Nothing,
    /// A service name.
    Name(NameRef<'l>),
    /// An empty or blank line.
    Empty,
    /// A line that is not a service name.
    Invalid,
    /// A line without an end: the name may be incomplete.
    Unterminated(NameRef<'l>),
}

impl<'l> ParsedName<'l> {
    /// The service to answer for. `default` is the service of clients that send nothing.
    #[must_use]
    pub fn target(self, default: Option<NameRef<'l>>) -> Target<'l> {
        match (self, default) {
            (Self::Name(name), _) => Target::FromClient(name),
            (Self::Empty, _) => Target::Unnamed(NoName::NotSent),
            (Self::Invalid, _) => Target::Unnamed(NoName::Invalid),
            (Self::Unterminated(name), _) => Target::Unnamed(NoName::Unterminated(name)),
            (Self::Nothing, Some(name)) => Target::Configured(name),
            (Self::Nothing, None) => Target::Unnamed(NoName::NotSent),
        }
    }
}

/// A client's request, as far as it has arrived.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    length: u8,
    /// How often [`Request::drop_middle`] dropped bytes.
    drops: u16,
    state: State,
    takes_http: bool,
    /// Whether bytes follow the complete request, or may follow it.
    more_follows: bool,
    bytes: [u8; MAX_LINE],
}

// All bytes of a new request are 0, so the number of `Line` must be 0. `repr(u8)` stores the number apart from the content
// of `Head`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first line has not ended.
    Line,
    /// The first line is complete, and is not an HTTP request line.
    Complete,
    /// The first line is too long for a name.
    TooLong,
    /// The HTTP request line is complete, the head is not.
    Head(Head),
    /// The HTTP request head is complete.
    HttpComplete,
    /// The HTTP request head is invalid.
    HttpInvalid,
}

/// What a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'l> {
    /// An agent-check reply.
    Agent(ParsedName<'l>),
    /// An HTTP response.
    Http(RequestLine<'l>),
    /// An HTTP response with only a status.
    HttpError(Status),
}

impl Request {
    /// A request of which nothing has arrived. With `takes_http` it may be an HTTP request.
    #[must_use]
    pub const fn new(takes_http: bool) -> Self {
        Self {
            bytes: [0; MAX_LINE],
            length: 0,
            drops: 0,
            state: State::Line,
            takes_http,
            more_follows: false,
        }
    }

    /// Adds the next bytes from the client. Returns true when the request is complete or invalid, so that no further
    /// bytes are needed.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            self.state = match &mut self.state {
                State::Line => self.push_to_line(*byte),
                State::Head(head) => match head.push(*byte) {
                    Progress::Incomplete => continue,
                    Progress::Complete => {
                        self.more_follows = !head.closes;
                        State::HttpComplete
                    }
                    Progress::Invalid => State::HttpInvalid,
                },
                _ => {
                    self.more_follows = true;
                    break;
                }
            };
        }
        !matches!(self.state, State::Line | State::Head(_))
    }

    fn push_to_line(&mut self, byte: u8) -> State {
        if matches!(byte, b'\n' | b'\r') {
            let is_http = self.takes_http && RequestLine::parse(self.line()).is_some();
            if is_http {
                return State::Head(Head::after(byte));
            }
            // An LF usually follows.
            self.more_follows = byte == b'\r';
            return State::Complete;
        }
        if usize::from(self.length) == MAX_LINE {
            if !(self.takes_http && RequestLine::may_begin(self.line())) {
                return State::TooLong;
            }
            // The target is too long to name a service, so bytes in its middle are not needed.
            self.drop_middle();
            if self.drops > MAX_DROPS {
                return State::HttpInvalid;
            }
        }
        if let Some(slot) = self.bytes.get_mut(usize::from(self.length)) {
            *slot = byte;
            self.length += 1;
        }
        State::Line
    }

    /// Moves the last bytes, which may be the version, over the bytes before them.
    fn drop_middle(&mut self) {
        const KEPT: usize = MAX_LINE - 2 * VERSION_LENGTH;
        if let Some((_, rest)) = self.bytes.split_at_mut_checked(KEPT)
            && let Some((to, from)) = rest.split_at_mut_checked(VERSION_LENGTH)
        {
            copy(to, from);
            self.length = (KEPT + VERSION_LENGTH) as u8;
            self.drops += 1;
        }
    }

    fn line(&self) -> &[u8] {
        let line = self.bytes.get(..usize::from(self.length));
        line.unwrap_or_default()
    }

    /// The request once no further bytes come, because it is complete or the client has closed its sending side.
    #[must_use]
    pub fn parse(&self) -> Parsed<'_> {
        match self.state {
            State::Line if self.length == 0 => Parsed::Agent(ParsedName::Nothing),
            State::Line if self.takes_http && RequestLine::parse(self.line()).is_some() => {
                Parsed::HttpError(Status::BadRequest)
            }
            // The line is not an HTTP request line, and some of its bytes were dropped.
            State::Line | State::Complete if self.drops > 0 => Parsed::Agent(ParsedName::Invalid),
            State::Line | State::Complete => Parsed::Agent(self.parse_name()),
            State::TooLong => Parsed::Agent(ParsedName::Invalid),
            State::Head(_) | State::HttpInvalid => Parsed::HttpError(Status::BadRequest),
            State::HttpComplete => match RequestLine::parse(self.line()) {
                Some(line) => Parsed::Http(line),
                None => Parsed::HttpError(Status::BadRequest),
            },
        }
    }

    /// The request at the timeout: a name without a line end is unterminated, an incomplete HTTP request is an error.
    #[must_use]
    pub fn parse_at_timeout(&self) -> Parsed<'_> {
        match self.state {
            State::Line if self.takes_http && RequestLine::may_begin(self.line()) => {
                Parsed::HttpError(Status::RequestTimeout)
            }
            State::Head(_) => Parsed::HttpError(Status::RequestTimeout),
            State::Line => match self.parse() {
                Parsed::Agent(ParsedName::Name(name)) => {
                    Parsed::Agent(ParsedName::Unterminated(name))
                }
                parsed => parsed,
            },
            _ => self.parse(),
        }
    }

    /// Whether the request is complete and the client sends nothing after it: it has sent exactly one line that ends with
    /// LF, or an HTTP request with `Connection: close`. Then the connection can be closed at once; otherwise unread bytes
    /// could cause a reset, which can overtake the answer.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self.state, State::Complete | State::HttpComplete) && !self.more_follows
    }

    fn parse_name(&self) -> ParsedName<'_> {
        let line = self.line();
        // Only spaces and tabs. A control byte makes the line invalid.
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !is_blank(byte));
        let end = line.iter().rposition(|byte| !is_blank(byte));
        let (Some(start), Some(end)) = (start, end) else {
            return ParsedName::Empty;
        };
        match NameRef::parse(line.get(start..=end).unwrap_or_default()) {
            Some(name) => ParsedName::Name(name),
            None => ParsedName::Invalid,
        }
    }
}

/// How to answer a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction<'l> {
    /// The service to answer for; unnamed for documents and errors.
    pub target: Target<'l>,
    /// The content of the HTTP response; `None` for an agent-check reply.
    pub content: Option<Content>,
    /// Whether the HTTP response has a body; false for HEAD.
    pub has_body: bool,
}

impl<'l> Reaction<'l> {
    /// An agent-check reply for this target.
    #[must_use]
    pub const fn agent(target: Target<'l>) -> Self {
        Self {
            target,
            content: None,
            has_body: true,
        }
    }

    /// An HTTP response with this content, which is not that of a service.
    #[must_use]
    pub const fn http(content: Content, has_body: bool) -> Self {
        Self {
            target: Target::Unnamed(NoName::NotSent),
            content: Some(content),
            has_body,
        }
    }

    fn error(status: Status) -> Self {
        Self::http(Content::Error(status), true)
    }

    /// Whether the answer is that of a service. Otherwise the client may not know this program, and may send any bytes.
    #[must_use]
    pub const fn is_of_a_service(&self) -> bool {
        !matches!(self.target, Target::Unnamed(_))
    }
}

impl<'l> Parsed<'l> {
    /// Selects the answer. `service` is the service of the command line or of the socket.
    #[must_use]
    #[inline(never)]
    pub fn reaction(self, service: Service<'l>, options: &http::Options) -> Reaction<'l> {
        let name = match self {
            Self::Http(line) => return http_reaction(&line, service, options),
            Self::HttpError(status) => return Reaction::error(status),
            Self::Agent(name) => name,
        };
        Reaction::agent(match service {
            Service::Invalid => Target::Unnamed(NoName::BadArguments),
            Service::Unnamed => Target::Unnamed(NoName::NotConfigured),
            Service::Named(name) => Target::Configured(name),
            Service::FromClient { default } => name.target(default),
        })
    }
}

/// Selects the HTTP response. A configured service answers on every path.
fn http_reaction<'l>(
    line: &RequestLine<'l>,
    service: Service<'l>,
    options: &http::Options,
) -> Reaction<'l> {
    let has_body = match line.has_body() {
        Ok(has_body) => has_body,
        Err(status) => return Reaction::error(status),
    };
    let (name, content) = match (line.resource(options), service) {
        (Ok((None, document)), _) => return Reaction::http(document, has_body),
        (Ok((name, content)), _) => (name, content),
        (Err(Status::NotFound), Service::Named(_)) => (None, Content::Reply),
        (Err(status), _) => return Reaction::http(Content::Error(status), has_body),
    };
    let (target, content) = match (service, name) {
        (Service::Named(own), _) if name == Some(own) => (Target::Configured(own), content),
        (Service::Named(own), _) => (Target::Configured(own), Content::Reply),
        (_, Some(name)) => (Target::FromClient(name), content),
        (_, None) => (
            Target::Unnamed(NoName::NotSent),
            Content::Error(Status::NotFound),
        ),
    };
    Reaction {
        target,
        content: Some(content),
        has_body,
    }
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
