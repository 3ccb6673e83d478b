//! HTTP answers (`--http`), from the same state files as agent-check.
//!
//! [`mod@line`] parses the request line, [`head`] finds the end of the request head, and [`response`] composes the response.
//! Nothing of a request is ever part of a response. Each connection gets one response and is then closed. Pure: no clock,
//! no sockets, no files.

pub mod head;
pub mod line;
pub mod response;

use crate::text::item;

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 503
    ServiceUnavailable,
}

impl Status {
    const TEXTS: &'static [u8] =
        b"200 OK\n400 Bad Request\n404 Not Found\n405 Method Not Allowed\n\
        408 Request Timeout\n503 Service Unavailable";

    /// The code and the reason phrase.
    #[must_use]
    pub fn text(self) -> &'static [u8] {
        item(Self::TEXTS, self as usize)
    }
}

/// The `--http` options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--http`: whether HTTP requests are answered.
    pub enabled: bool,
    /// `--http-drain-status 404`: whether a drained server gives 404 instead of 503.
    pub drain_is_not_found: bool,
    /// `--http-fallback 200`: whether a missing or invalid state file gives 200 instead of 503.
    pub fallback_is_ok: bool,
    /// `--http-documents`: whether `/-/metrics` and `/-/page` are served.
    pub documents: bool,
}

/// What a response contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `/NAME`: the reply line; the status is that of the server.
    Reply,
    /// `/NAME/weight`: the weight.
    Weight,
    /// `/NAME/load`: the load for Kemp's adaptive agent.
    Load,
    /// `/NAME/json`: one JSON object.
    Json,
    /// `/-/metrics`: the file `metrics.prom` of the state directory.
    Metrics,
    /// `/-/page`: the file `page.html` of the state directory.
    Page,
    /// Only a status.
    Error(Status),
}

impl Content {
    /// The largest document that is served, in bytes.
    pub const MAX_DOCUMENT: u64 = 8 << 20;

    /// The file name of a document.
    #[must_use]
    pub fn document(self) -> Option<&'static [u8]> {
        match self {
            Self::Metrics => Some(b"metrics.prom"),
            Self::Page => Some(b"page.html"),
            _ => None,
        }
    }
}
