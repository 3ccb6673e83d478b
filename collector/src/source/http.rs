//! The HTTP source: one request, within one deadline, of whose answer at most so many bytes are taken.
//!
//! Every poll makes a connection of its own and closes it. A kept one saves a round trip on loopback, and
//! costs a failure whenever the application closes it at the moment in which it is used again.
//!
//! A proxy from the environment is never used: what is asked is this host's application, and what
//! answers should be that.
//!
//! Not here: bodies of requests, compressed answers, HTTP/2.

mod credentials;
mod error;
mod expected;
mod request;
#[cfg(test)]
mod tests;
mod tls;
mod url;

pub use credentials::Credentials;
pub use expected::Statuses;
pub use request::Method;
pub use tls::Tls;

use super::dns::Lookup;
use super::{Deadline, Format, Found, too_large};
use crate::reading::{Failure, Reason};
use error::{failure, root_cause};
use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url, header, redirect};
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

const USER_AGENT: &str = concat!("agentcheck/", env!("CARGO_PKG_VERSION"));

/// `[source.NAME.http]`
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// What is asked for; see [`Http::check_url`].
    pub url: String,
    /// The unix socket to connect to, instead of the URL's host.
    pub unix: Option<PathBuf>,
    /// The address to connect to, instead of those of the URL's host. The port is the URL's, and so is the
    /// name that the certificate has to be for.
    pub connect_to: Option<IpAddr>,
    /// How it is asked.
    pub method: Method,
    /// What is said beside that; see [`Http::header`]. One may be set twice.
    pub headers: HeaderMap,
    /// The credentials that go with it.
    pub credentials: Option<Credentials>,
    /// Whom to believe; of no matter where the URL is not https.
    pub tls: Tls,
    /// The statuses that are a success.
    pub expect_status: Statuses,
    /// How the body is read.
    pub format: Format,
    /// The largest body that is taken, in bytes.
    pub max_bytes: usize,
    /// How many redirects are followed one after the other; 0 makes every redirect a failure. None is
    /// followed to a place that [`Http::check_url`] refuses, none from http to https or back, and none to
    /// another host or port where headers, credentials, a client certificate or an address to connect to
    /// are set: they are for the one host that is named.
    pub redirects: u32,
}

impl Http {
    /// A GET of `url` as text, with everything else at its default.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            unix: None,
            connect_to: None,
            method: Method::default(),
            headers: HeaderMap::new(),
            credentials: None,
            tls: Tls::default(),
            expect_status: Statuses::default(),
            format: Format::default(),
            max_bytes: super::DEFAULT_MAX_BYTES,
            redirects: 0,
        }
    }

    /// Whether `url` is one that can be polled: `http://HOST[:PORT][/PATH][?QUERY]`, or https.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, as the rest of a sentence that begins with the
    /// URL. A password in it is not repeated.
    pub fn check_url(url: &str) -> Result<(), String> {
        url::check(url)
    }

    /// A header for [`Http::headers`]. Its value is not shown by Debug.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, as the rest of a sentence that begins with the
    /// header's name. The value is not repeated.
    pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
        request::header(name, value)
    }

    /// Whether the URL says so.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        url::is_https(&self.url)
    }

    /// Whether the request holds what is for the one host that is named.
    fn is_personal(&self) -> bool {
        !self.headers.is_empty()
            || self.credentials.is_some()
            || self.tls.client.is_some()
            || self.connect_to.is_some()
    }
}

impl fmt::Display for Http {
    /// Says nothing of headers and credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http ")?;
        if self.method != Method::Get {
            write!(f, "{} ", self.method)?;
        }
        write!(f, "{}", self.url.escape_debug())?;
        if let Some(path) = &self.unix {
            write!(f, " at {path:?}")?;
        }
        if let Some(address) = self.connect_to {
            write!(f, " at {address}")?;
        }
        write!(f, " as {}", self.format)
    }
}

/// An HTTP source that is being polled.
#[derive(Debug)]
pub(super) struct Exchange {
    http: Http,
    lookup: Arc<Lookup>,
    /// Made with the first poll, since it starts a thread, which would not survive a fork into the
    /// background; made anew when a file that it was made of has changed.
    client: Option<(Client, Vec<tls::Stamp>)>,
}

impl Exchange {
    pub(super) fn new(http: Http) -> Self {
        let lookup = match http.connect_to {
            // The client puts the URL's port in its place.
            Some(address) => Lookup::by(move |_| Ok(vec![SocketAddr::new(address, 0)])),
            None => Lookup::of_the_system(),
        };
        Self::with_lookup(http, lookup)
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
        let stamps = self.http.tls.stamps();
        let client = match self.client.take_if(|(_, made_of)| *made_of == stamps) {
            Some((client, _)) => client,
            None => self.new_client(deadline)?,
        };
        let (client, _) = self.client.insert((client, stamps));
        let mut request = client
            .request(self.http.method.of_client(), &self.http.url)
            .headers(self.http.headers.clone())
            .header(header::CONNECTION, "close");
        if matches!(self.http.method, Method::Post | Method::Put) {
            // There are servers that take none of these without it.
            request = request.header(header::CONTENT_LENGTH, "0");
        }
        if let Some(credentials) = &self.http.credentials {
            request = credentials.add_to(request, deadline)?;
        }
        request
            // On the request it bounds the whole exchange; on the client it would bound each read, and
            // a body that comes byte by byte would hold this up for ever.
            .timeout(deadline.remaining())
            .send()
            .map_err(|error| failure(&error, deadline, "no answer"))
    }

    fn new_client(&self, deadline: Deadline) -> Result<Client, Failure> {
        let tls = if self.http.is_tls() {
            self.http.tls.config(deadline)?
        } else {
            tls::none()?
        };
        let redirects = usize::try_from(self.http.redirects).unwrap_or(usize::MAX);
        let is_personal = self.http.is_personal();
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .http1_only()
            .referer(false)
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::clone(&self.lookup))
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::custom(move |attempt| {
                // To stop is to be given the redirect itself as the response.
                let follow = attempt.previous().len() <= redirects
                    && Http::check_url(attempt.url().as_str()).is_ok()
                    && attempt
                        .previous()
                        .first()
                        .is_some_and(|asked| may_lead(asked, attempt.url(), is_personal));
                if follow {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        if let Some(path) = &self.http.unix {
            builder = builder.unix_socket(path.clone());
        }
        builder
            .build()
            .map_err(|error| Failure::new(Reason::Other, root_cause(&error)))
    }

    /// Reads the response to its end. Its status outranks whatever happens to its body.
    fn found(&self, response: Response, deadline: Deadline) -> Found {
        let status = response.status();
        let refusal = self.refusal(&response);
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
    /// Why the response's status and headers alone make it a failure.
    fn refusal(&self, response: &Response) -> Option<Failure> {
        let status = response.status();
        if self.http.expect_status.contains(status.as_u16()) {
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
}

/// Whether a redirect may lead from `asked` to `next`.
fn may_lead(asked: &Url, next: &Url, is_personal: bool) -> bool {
    asked.scheme() == next.scheme() && (!is_personal || asked.origin() == next.origin())
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
