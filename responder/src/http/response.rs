//! Composes responses.

use super::{Content, Options, Status};
use crate::reply::{Answer, Source};
use crate::text::{Text, item};
use agentcheck_common::reply::{MAX_LINE, Word};
use agentcheck_common::{AdministrativeState, OperationalState};

// A head has 290 bytes; a reply line or a JSON object follows.
const _: () = assert!(Text::SIZE >= 290 + MAX_LINE);

/// The names of a server's states in responses. If several apply, the last one in this order counts.
const STATES: &[u8] = b"up\ndrain\ndown\nstopped\nfail\nmaint";
const UP: usize = 0;
const DRAIN: usize = 1;
const DOWN: usize = 2;
const STOPPED: usize = 3;
const FAIL: usize = 4;
const MAINT: usize = 5;

const MEDIA_TYPES: &[u8] = b"text/plain\napplication/json\ntext/plain; version=0.0.4\n\
    text/html; charset=utf-8";

/// The state that a reply line gives a server in HAProxy.
struct View<'l> {
    /// An index of [`STATES`].
    state: usize,
    /// The number of the weight; 0 unless the state is up.
    weight: u16,
    maxconn: Option<u32>,
    description: &'l [u8],
}

impl<'l> View<'l> {
    /// Parses a valid reply line without its newline. It ignores unknown words, so a no-op reply gives up and 100.
    #[inline(never)]
    fn of(line: &'l [u8]) -> Self {
        let (mut operational, mut administrative) = (UP, UP);
        let mut view = Self {
            state: UP,
            weight: 100,
            maxconn: None,
            description: b"",
        };
        let mut rest = line;
        while let Some((first, after)) = rest.split_first() {
            if *first == b'#' {
                view.description = after.trim_ascii();
                break;
            }
            let mut bytes = rest.iter();
            let length = bytes.position(|byte| matches!(byte, b' ' | b'\t' | b','));
            let (word, after) = rest.split_at(length.unwrap_or(rest.len()));
            rest = after.get(1..).unwrap_or_default();
            match Word::parse(word) {
                Some(Word::Operational(state)) => {
                    operational = match state {
                        OperationalState::Up => UP,
                        OperationalState::Down => DOWN,
                        OperationalState::Stopped => STOPPED,
                        OperationalState::Fail => FAIL,
                    }
                }
                Some(Word::Administrative(state)) => {
                    administrative = match state {
                        AdministrativeState::Ready => UP,
                        AdministrativeState::Drain => DRAIN,
                        AdministrativeState::Maint => MAINT,
                    }
                }
                Some(Word::Percent(percent) | Word::Weight(percent)) => view.weight = percent.get(),
                Some(Word::Maxconn(limit)) => view.maxconn = Some(limit.get()),
                None => {}
            }
        }
        let drain = if view.weight == 0 { DRAIN } else { UP };
        view.state = operational.max(administrative).max(drain);
        if view.state != UP {
            view.weight = 0;
        }
        view
    }

    fn status(&self, options: &Options) -> Status {
        match self.state {
            UP => Status::Ok,
            DRAIN if options.drain_is_not_found => Status::NotFound,
            _ => Status::ServiceUnavailable,
        }
    }

    /// The number for Kemp's adaptive agent: 0 to 100, 101 if the server is down, 102 if it is in maintenance.
    fn load(&self) -> u16 {
        match self.state {
            UP | DRAIN => 100_u16.saturating_sub(self.weight),
            STOPPED | MAINT => 102,
            _ => 101,
        }
    }
}

/// The head of a response. Each byte below 32, except CR and LF, is replaced by a part of [`Values`].
const HEAD: &[u8] =
    b"HTTP/1.1 \x01\r\nContent-Type: \x02\r\nCache-Control: no-store\r\nConnection: close\r\n";
const ALLOW: &[u8] = b"Allow: GET, HEAD, OPTIONS\r\n";
const STATE: &[u8] = b"Agentcheck-State: \x03\r\nAgentcheck-Weight: \x04\r\n";
const MAXCONN: &[u8] = b"Agentcheck-Maxconn: \x05\r\n";
/// The length overwrites the spaces when it is known.
const LENGTH: &[u8] = b"Content-Length:        \r\n\r\n";

/// The bodies: the line, the status, the weight, the load, and the JSON object.
const BODIES: &[u8] = b"\x08\n\x01\n\x04\n\x0b\n\
    {\"state\":\"\x03\",\"weight\":\x04,\"maxconn\":\x05,\"description\":\"\x06\",\"fresh\":\"\x07\"}";

/// The values for the templates.
struct Values<'a> {
    view: View<'a>,
    line: &'a [u8],
    status: Status,
    media_type: usize,
    source: Source,
}

impl Values<'_> {
    /// Appends `template`, with the values in it.
    #[inline(never)]
    fn push(&self, template: &[u8], out: &mut Text) {
        for byte in template {
            match byte {
                0x01 => out.push(self.status.text()),
                0x02 => out.push(item(MEDIA_TYPES, self.media_type)),
                0x03 => out.push(item(STATES, self.view.state)),
                0x04 => out.push_number(self.view.weight.into()),
                0x05 => match self.view.maxconn {
                    Some(limit) => out.push_number(limit.into()),
                    None => out.push(b"null"),
                },
                0x06 => self.push_description(out),
                0x07 => out.push(item(b"yes\nstale\nno\nno", self.source as usize)),
                0x08 => out.push(self.line),
                0x0b => out.push_number(self.view.load().into()),
                byte => out.push_byte(*byte),
            }
        }
    }

    /// Appends the description as JSON. It is printable ASCII, so only two bytes need an escape.
    fn push_description(&self, out: &mut Text) {
        for byte in self.view.description {
            if matches!(byte, b'"' | b'\\') {
                out.push_byte(b'\\');
            }
            out.push_byte(*byte);
        }
    }
}

/// Composes the response with this content.
///
/// `answer` is that of the state file, for the contents of a service. `size` is the size of a document in bytes; the
/// caller sends the document after the response.
#[inline(never)]
pub fn compose(
    content: Content,
    has_body: bool,
    answer: &Answer<'_>,
    size: u64,
    options: &Options,
    out: &mut Text,
) {
    let mut values = Values {
        view: View::of(answer.text),
        // For a no-op reply only the word, not the name: that may come from the request.
        line: answer.text,
        status: Status::Ok,
        media_type: 0,
        source: answer.source,
    };
    // The index of the body, and whether the response describes the server.
    let (mut body, mut has_view) = (0, false);
    let is_valid = matches!(answer.source, Source::Fresh | Source::Stale);
    match content {
        Content::Error(status) => (values.status, body) = (status, 1),
        Content::Metrics => values.media_type = 2,
        Content::Page => values.media_type = 3,
        _ if is_valid || answer.fallback_applies && options.fallback_is_ok => {
            has_view = true;
            match content {
                Content::Weight => body = 2,
                Content::Load => body = 3,
                Content::Json => (body, values.media_type) = (4, 1),
                _ => values.status = values.view.status(options),
            }
        }
        _ if answer.is_unknown() => values.status = Status::NotFound,
        _ => values.status = Status::ServiceUnavailable,
    }

    values.push(HEAD, out);
    if values.status == Status::MethodNotAllowed {
        values.push(ALLOW, out);
    }
    if has_view {
        values.push(STATE, out);
        if values.view.maxconn.is_some() {
            values.push(MAXCONN, out);
        }
    }
    values.push(LENGTH, out);
    let head = out.length();
    let mut length = size;
    if content.document().is_none() {
        values.push(item(BODIES, body), out);
        out.push_byte(b'\n');
        length = (out.length() - head) as u64;
    }
    out.put_number_before(head - b"\r\n\r\n".len(), length);
    if !has_body {
        out.truncate(head);
    }
}

#[cfg(test)]
mod tests;
