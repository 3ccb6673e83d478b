//! Composes responses.

use super::{Content, Options, Status};
use crate::reply::{Answer, ReadError, Reason, Source};
use crate::text::{Text, item};
use agentcheck_common::reply::Word;
use agentcheck_common::{Administrative, Operational};

/// The longest response, in bytes: 290 of head, and a reply line or a JSON object.
pub const MAX_RESPONSE: usize = 1024;

/// The states of a server, as their names in responses. The order is that of precedence: the last one applies.
const STATES: &[u8] = b"up\ndrain\ndown\nstopped\nfail\nmaint";
const UP: usize = 0;
const DRAIN: usize = 1;
const DOWN: usize = 2;
const STOPPED: usize = 3;
const FAIL: usize = 4;
const MAINT: usize = 5;

const MEDIA_TYPES: &[u8] = b"text/plain\napplication/json\ntext/plain; version=0.0.4\n\
    text/html; charset=utf-8";

/// What HAProxy would make of a reply line.
struct View<'l> {
    /// An index of [`STATES`].
    state: usize,
    /// In percent; 0 unless the state is up.
    weight: u16,
    maxconn: Option<u32>,
    description: &'l [u8],
}

impl<'l> View<'l> {
    /// Reads a valid reply line without its newline. Unknown words are ignored: a no-op reply gives up and 100%.
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
            match Word::of(word) {
                Some(Word::Operational(state)) => {
                    operational = match state {
                        Operational::Up => UP,
                        Operational::Down => DOWN,
                        Operational::Stopped => STOPPED,
                        Operational::Fail => FAIL,
                    }
                }
                Some(Word::Administrative(state)) => {
                    administrative = match state {
                        Administrative::Ready => UP,
                        Administrative::Drain => DRAIN,
                        Administrative::Maint => MAINT,
                    }
                }
                Some(Word::Percent(percent)) => view.weight = percent.get(),
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
    out: &mut Text<MAX_RESPONSE>,
) {
    let is_document = content.document().is_some();
    let view = View::of(answer.text);
    let mut has_view = false;
    let mut status = Status::Ok;
    if let Content::Error(error) = content {
        status = error;
    } else if !is_document {
        let is_valid = matches!(answer.source, Source::Fresh | Source::Stale);
        let falls_back = answer.fallback_applies && options.fallback_is_ok;
        if !is_valid && !falls_back {
            let is_unknown = answer.reason == Some(Reason::ReadError(ReadError::Absent));
            status = match is_unknown && !answer.fallback_applies {
                true => Status::NotFound,
                false => Status::ServiceUnavailable,
            };
        } else {
            has_view = true;
            if content == Content::Reply {
                status = view.status(options);
            }
        }
    }
    let media_type = match content {
        Content::Json if has_view => 1,
        Content::Metrics => 2,
        Content::Page => 3,
        _ => 0,
    };

    out.push(b"HTTP/1.1 ");
    out.push(status.text());
    out.push(b"\r\nContent-Type: ");
    out.push(item(MEDIA_TYPES, media_type));
    out.push(b"\r\nCache-Control: no-store\r\nConnection: close\r\n");
    if status == Status::MethodNotAllowed {
        out.push(b"Allow: GET, HEAD, OPTIONS\r\n");
    }
    if has_view {
        out.push(b"Agentcheck-State: ");
        out.push(item(STATES, view.state));
        out.push(b"\r\nAgentcheck-Weight: ");
        out.push_number(view.weight.into());
        if let Some(limit) = view.maxconn {
            out.push(b"\r\nAgentcheck-Maxconn: ");
            out.push_number(limit.into());
        }
        out.push(b"\r\n");
    }
    // The blanks are overwritten when the length is known.
    out.push(b"Content-Length:        ");
    let length_end = out.length();
    out.push(b"\r\n\r\n");
    let head = out.length();
    if !is_document {
        match content {
            Content::Weight if has_view => out.push_number(view.weight.into()),
            Content::Load if has_view => out.push_number(view.load().into()),
            Content::Json if has_view => push_json(&view, answer.source, out),
            Content::Error(_) => out.push(status.text()),
            // The word of a no-op reply without the name, which may come from the request.
            _ => out.push(answer.text),
        }
        out.push_byte(b'\n');
    }
    let length = if is_document {
        size
    } else {
        (out.length() - head) as u64
    };
    out.put_number_before(length_end, length);
    if !has_body {
        out.truncate(head);
    }
}

fn push_json(view: &View<'_>, source: Source, out: &mut Text<MAX_RESPONSE>) {
    out.push(b"{\"state\":\"");
    out.push(item(STATES, view.state));
    out.push(b"\",\"weight\":");
    out.push_number(view.weight.into());
    out.push(b",\"maxconn\":");
    match view.maxconn {
        Some(limit) => out.push_number(limit.into()),
        None => out.push(b"null"),
    }
    out.push(b",\"description\":\"");
    // The text is printable ASCII, in which only these two bytes need an escape.
    for byte in view.description {
        if matches!(byte, b'"' | b'\\') {
            out.push_byte(b'\\');
        }
        out.push_byte(*byte);
    }
    out.push(b"\",\"fresh\":\"");
    out.push(item(b"yes\nstale\nno\nno", source as usize));
    out.push(b"\"}");
}

#[cfg(test)]
mod tests;
