//! The HTTP source: one request within one deadline, with a bounded response.
//!
//! Every poll opens a connection and closes it. A kept connection would save a round trip on loopback, and
//! would fail whenever the application closes it at the moment of reuse.
//!
//! A proxy from the environment is never used: the source polls this host's application directly.
//!
//! Not here: compressed responses, HTTP/2.

mod credentials;
mod error;
mod request;
#[cfg(test)]
mod tests;
mod tls;
mod url;

pub use credentials::Credentials;
pub use request::Method;
pub use tls::Tls;

use super::dns::{Answer, Lookup};
use super::secret::Secret;
use super::{Cancellation, Deadline, Format, Found, Ranges, connect, too_large};
use crate::reading::{Failure, Reason};
use error::{failure, root_cause};
use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url, header, redirect};
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const USER_AGENT: &str = concat!("agentcheck/", env!("CARGO_PKG_VERSION"));

/// `[source.NAME.http]`
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// The URL of the request; see [`Http::check_url`].
    pub url: String,
    /// The unix socket to connect to, instead of the URL's host.
    pub unix: Option<PathBuf>,
    /// The address to connect to, instead of those of the URL's host. The port and the name in the certificate
    /// are those of the URL.
    pub connect_to: Option<IpAddr>,
    /// The request method.
    pub method: Method,
    /// Additional headers; see [`Http::header`]. A header may occur twice.
    pub headers: HeaderMap,
    /// The body of a POST or PUT.
    pub body: Option<Secret>,
    /// The credentials of the request.
    pub credentials: Option<Credentials>,
    /// The trusted authorities and the client certificate; unused where the URL is not https.
    pub tls: Tls,
    /// The statuses that are a success.
    pub expect_status: Ranges,
    /// How the body is read.
    pub format: Format,
    /// The largest body, in bytes.
    pub max_bytes: usize,
    /// How many redirects are followed in a row; 0 makes every redirect a failure. A redirect to a URL that
    /// [`Http::check_url`] refuses is never followed, nor one from http to https or back. With headers,
    /// credentials, a body, a client certificate or an address to connect to, none is followed to another host
    /// or port: those are for the configured host alone.
    pub redirects: u32,
}

impl Http {
    /// A GET of `url` as text, with defaults.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            unix: None,
            connect_to: None,
            method: Method::default(),
            headers: HeaderMap::new(),
            body: None,
            credentials: None,
            tls: Tls::default(),
            expect_status: Ranges::success(),
            format: Format::default(),
            max_bytes: super::DEFAULT_MAX_BYTES,
            redirects: 0,
        }
    }

    /// Whether `url` can be polled: `http://HOST[:PORT][/PATH][?QUERY]`, or https.
    ///
    /// # Errors
    /// The error and its correction, as the rest of a sentence that begins with the URL. A password in it is
    /// not repeated.
    pub fn check_url(url: &str) -> Result<(), String> {
        url::check(url)
    }

    /// A header for [`Http::headers`]. Debug does not print its value.
    ///
    /// # Errors
    /// The error and its correction, as the rest of a sentence that begins with the header's name. The value is
    /// not repeated.
    pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
        request::header(name, value)
    }

    /// Whether the URL is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        url::is_https(&self.url)
    }

    /// Whether the request has parts that are for the configured host alone.
    fn is_personal(&self) -> bool {
        !self.headers.is_empty()
            || self.body.is_some()
            || self.credentials.is_some()
            || self.tls.client.is_some()
            || self.connect_to.is_some()
    }
}

impl fmt::Display for Http {
    /// Without headers, body and credentials, and without the query of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http ")?;
        if self.method != Method::Get {
            write!(f, "{} ", self.method)?;
        }
        write!(f, "{}", url::shown(&self.url))?;
        if let Some(path) = &self.unix {
            write!(f, " at {path:?}")?;
        }
        if let Some(address) = self.connect_to {
            write!(f, " at {address}")?;
        }
        write!(f, " as {}", self.format)
    }
}

/// An HTTP source in its running form.
#[derive(Debug)]
pub(super) struct Exchange {
    http: Http,
    lookup: Arc<Lookup>,
    preferred: Preferred,
    /// Made at the first poll, because it starts a thread, which would not survive a fork into the background.
    /// Made again when one of its files has changed.
    client: Option<(Client, Vec<tls::Stamp>)>,
}

impl Exchange {
    pub(super) fn new(http: Http) -> Self {
        match http.connect_to {
            // The client sets the URL's port.
            Some(address) => {
                Self::with_lookup(http, move |_| Ok(vec![SocketAddr::new(address, 0)]))
            }
            None => Self::with_lookup(http, super::dns::by_the_system),
        }
    }

    fn with_lookup(http: Http, find: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let preferred = Preferred::default();
        let port = Url::parse(&http.url)
            .ok()
            .and_then(|url| url.port_or_known_default());
        let shared = preferred.clone();
        Self {
            http,
            lookup: Arc::new(Lookup::with(move |name| {
                find(name).map(|addresses| shared.first(addresses, port.unwrap_or(0)))
            })),
            preferred,
            client: None,
        }
    }

    pub(super) fn poll(&mut self, deadline: Deadline) -> Found {
        match self.send(deadline) {
            Ok(response) => {
                self.preferred.set(response.remote_addr());
                self.found(response, deadline)
            }
            Err(failure) => {
                self.preferred.set(None);
                failure.into()
            }
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
        if let Some(body) = &self.http.body {
            request = request.body(body.expose().to_owned());
        } else if matches!(self.http.method, Method::Post | Method::Put) {
            // Some servers refuse these methods without it.
            request = request.header(header::CONTENT_LENGTH, "0");
        }
        if let Some(credentials) = &self.http.credentials {
            request = credentials.add_to(request, deadline)?;
        }
        request
            // On the request it limits the whole exchange. On the client it would limit each read, and a body
            // that arrives byte by byte would block for ever.
            .timeout(deadline.remaining())
            .send()
            // Its text would have the URL with its query.
            .map_err(|error| failure(&error.without_url(), deadline, "no answer"))
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
            // The deadline ends each connection, so the client need not set these five socket options.
            .tcp_keepalive(None)
            .tcp_keepalive_interval(None)
            .tcp_keepalive_retries(None)
            .tcp_user_timeout(None)
            // Divided by the number of addresses, so that none of them takes all the time.
            .connect_timeout(deadline.timeout.max(Duration::from_millis(1)))
            .dns_resolver(Arc::clone(&self.lookup))
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::custom(move |attempt| {
                // `stop` returns the redirect itself as the response.
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
            .map_err(|error| Failure::new(Reason::Other, root_cause(&error.without_url())))
    }

    /// Reads the response to its end. The status outranks errors of the body.
    fn found(&self, response: Response, deadline: Deadline) -> Found {
        let status = response.status();
        let refusal = self.refusal(&response);
        let encoding = response.headers().get(header::CONTENT_ENCODING).cloned();
        let body = read_body(response, self.http.max_bytes, deadline);
        let found = match (refusal, body) {
            (None, Ok(body)) => match compressed(encoding.as_ref(), &body) {
                Some(failure) => failure.into(),
                None => Found::body(self.http.format, body),
            },
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
        // Other statuses of this class, such as 304, lead nowhere.
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Some(Failure::new(Reason::Status, shown));
        }
        let detail = match response.headers().get(header::LOCATION) {
            Some(location) => {
                let location = String::from_utf8_lossy(location.as_bytes());
                format!("{shown} to {}", url::shown(&location))
            }
            None => shown,
        };
        Some(Failure::new(Reason::Redirect, detail))
    }
}

/// The failure of a compressed body, which the collector never requests.
fn compressed(encoding: Option<&HeaderValue>, body: &[u8]) -> Option<Failure> {
    let named = encoding
        .map(|encoding| String::from_utf8_lossy(encoding.as_bytes()).into_owned())
        .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    let is_gzip = body.starts_with(b"\x1f\x8b");
    let encoding = named.or(is_gzip.then(|| "gzip".to_owned()))?;
    (!body.is_empty()).then(|| {
        Failure::new(
            Reason::Malformed,
            format_args!("the body is compressed ({encoding}), which was not requested"),
        )
    })
}

/// The address that answered last, shared with the lookup.
#[derive(Clone, Debug, Default)]
struct Preferred(Arc<Mutex<Option<IpAddr>>>);

/// How long a lookup tries several addresses before it leaves the choice to the client.
const MAX_TRIAL: Duration = Duration::from_secs(10);

impl Preferred {
    fn set(&self, address: Option<SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            address.map(|address| address.ip());
    }

    /// The addresses with the one first that answered last or, where none has, that now accepts a connection
    /// first. The client would give each address its share of the time, one after the other.
    fn first(&self, mut addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
        if addresses.len() < 2 || port == 0 {
            return addresses;
        }
        let preferred = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = preferred.filter(|known| addresses.iter().any(|one| one.ip() == *known));
        let best = known.or_else(|| {
            let mut targets = addresses.clone();
            for target in &mut targets {
                target.set_port(port);
            }
            let deadline = Deadline::within(MAX_TRIAL);
            let stream = connect::first(&targets, deadline, &Cancellation::new()).ok()?;
            stream.peer_addr().ok().map(|address| address.ip())
        });
        if let Some(at) = addresses.iter().position(|one| Some(one.ip()) == best) {
            addresses.swap(0, at);
        }
        addresses
    }
}

/// Whether a redirect may lead from `asked` to `next`.
fn may_lead(asked: &Url, next: &Url, is_personal: bool) -> bool {
    asked.scheme() == next.scheme() && (!is_personal || asked.origin() == next.origin())
}

/// The number and its standard name; the server's own phrase could be anything.
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
