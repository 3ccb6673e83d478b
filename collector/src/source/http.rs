//! The HTTP source: one GET, within one deadline, of at most so many bytes.
//!
//! Every poll makes a connection of its own and closes it. A kept one saves a round trip on loopback, and
//! costs a failure whenever the application closes it at the moment in which it is used again.
//!
//! A proxy from the environment is never used: what is asked is this host's application, and what
//! answers should be that.
//!
//! Not here: TLS, methods, headers, credentials, unix sockets (a later version).

mod lookup;
#[cfg(test)]
mod tests;
mod url;

use super::{Deadline, Format, Found, io_reason, too_large};
use crate::reading::{Failure, Reason};
use lookup::Lookup;
use reqwest::blocking::{Client, Response};
use reqwest::{StatusCode, header, redirect};
use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

const USER_AGENT: &str = concat!("agentcheck/", env!("CARGO_PKG_VERSION"));

/// `[source.NAME.http]`
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// What is asked for; see [`Http::check_url`].
    pub url: String,
    /// How the body is read.
    pub format: Format,
    /// The largest body that is taken, in bytes.
    pub max_bytes: usize,
    /// How many redirects are followed one after the other; 0 makes every redirect a failure. None is
    /// followed to a place that [`Http::check_url`] refuses.
    pub redirects: u32,
}

impl Http {
    /// Whether `url` is one that can be polled: `http://HOST[:PORT][/PATH][?QUERY]`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, as the rest of a sentence that begins with the
    /// URL. A password in it is not repeated.
    pub fn check_url(url: &str) -> Result<(), String> {
        url::check(url)
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {} as {}", self.url.escape_debug(), self.format)
    }
}

/// An HTTP source that is being polled.
#[derive(Debug)]
pub(super) struct Exchange {
    http: Http,
    lookup: Arc<Lookup>,
    /// Made with the first poll, since it starts a thread, which would not survive a fork into the
    /// background.
    client: Option<Client>,
}

impl Exchange {
    pub(super) fn new(http: Http) -> Self {
        Self::with_lookup(http, Lookup::of_the_system())
    }

    fn with_lookup(http: Http, lookup: Lookup) -> Self {
        Self {
            http,
            lookup: Arc::new(lookup),
            client: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline) -> Found {
        match self.send(deadline) {
            Ok(response) => self.found(response, deadline),
            Err(failure) => failure.into(),
        }
    }

    fn send(&mut self, deadline: Deadline) -> Result<Response, Failure> {
        if let Err(wrong) = Http::check_url(&self.http.url) {
            return Err(Failure::new(Reason::Other, format_args!("the URL {wrong}")));
        }
        let client = match &self.client {
            Some(client) => client,
            None => self.client.insert(self.new_client()?),
        };
        client
            .get(&self.http.url)
            .header(header::CONNECTION, "close")
            // On the request it bounds the whole exchange; on the client it would bound each read, and
            // a body that comes byte by byte would hold this up for ever.
            .timeout(deadline.remaining())
            .send()
            .map_err(|error| failure(&error, deadline, "no answer"))
    }

    fn new_client(&self) -> Result<Client, Failure> {
        let redirects = usize::try_from(self.http.redirects).unwrap_or(usize::MAX);
        Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .http1_only()
            .referer(false)
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::clone(&self.lookup))
            .redirect(redirect::Policy::custom(move |attempt| {
                // To stop is to be given the redirect itself as the response.
                if attempt.previous().len() > redirects
                    || Http::check_url(attempt.url().as_str()).is_err()
                {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            }))
            .build()
            .map_err(|error| Failure::new(Reason::Other, root_cause(&error)))
    }

    /// Reads the response to its end. Its status outranks whatever happens to its body.
    fn found(&self, response: Response, deadline: Deadline) -> Found {
        let status = response.status();
        let refusal = refusal(&response);
        let body = read_body(response, self.http.max_bytes, deadline);
        let found = match (refusal, body) {
            (None, Ok(body)) => Found::body(self.http.format, body),
            (None, Err(failure)) => failure.into(),
            (Some(refusal), Ok(body)) => Found::from(refusal).with_text(body),
            (Some(refusal), Err(_)) => refusal.into(),
        };
        Found {
            status: Some(status.as_u16()),
            ..found
        }
    }
}

/// Why the response's status and headers alone make it a failure.
fn refusal(response: &Response) -> Option<Failure> {
    let status = response.status();
    if status.is_success() {
        return None;
    }
    let shown = shown_status(status);
    if !status.is_redirection() {
        return Some(Failure::new(Reason::Status, shown));
    }
    let detail = match response.headers().get(header::LOCATION) {
        Some(location) => format!("{shown} to {location:?}"),
        None => shown,
    };
    Some(Failure::new(Reason::Redirect, detail))
}

/// The number and its name in the standard; the server's own words could be anything.
fn shown_status(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(name) => format!("{} {name}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn read_body(
    mut response: Response,
    max_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).unwrap_or(usize::MAX) > max_bytes {
        return Err(too_large("body", max_bytes));
    }
    let mut body = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match response.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(length) => {
                if body.len() + length > max_bytes {
                    return Err(too_large("body", max_bytes));
                }
                body.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(&error, deadline, "answer not complete")),
        }
        if deadline.has_passed() {
            return Err(deadline.failure("answer not complete"));
        }
    }
}

/// What an error of the client means: `what` is what had not come, should it be the deadline's.
fn failure(error: &(dyn Error + 'static), deadline: Deadline, what: &str) -> Failure {
    let mut reason = None;
    for cause in causes(error) {
        if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
            if http.is_timeout() {
                return deadline.failure(what);
            }
            if http.is_dns() {
                reason = Some(Reason::Unreachable);
            } else if http.is_builder() {
                reason = Some(Reason::Other);
            }
        } else if let Some(io) = cause.downcast_ref::<io::Error>() {
            let of_io = io_reason(io);
            if of_io == Reason::Timeout {
                return deadline.failure(what);
            }
            // Of an error that only carries another one, the other one tells.
            if reason.is_none() && of_io != Reason::Other {
                reason = Some(of_io);
            }
        }
    }
    let detail = root_cause(error);
    let reason = reason.unwrap_or_else(|| {
        // What is left is hyper's: the peer went away, or what came is not HTTP. Its type is not ours to
        // look into without a dependency on hyper; the tests watch over these words.
        if detail.contains("closed") || detail.contains("canceled") {
            Reason::Broken
        } else {
            Reason::Malformed
        }
    });
    Failure::new(reason, detail)
}

/// The error and what it was caused by, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            // `source` passes over the error that was wrapped into it.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
