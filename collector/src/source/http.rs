//! The HTTP source: one GET, within one deadline.
use super::{Deadline, Format, Found, stopped};
use std::fmt;

/// `[source.NAME.http]`
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// What is asked for; see [`Http::check_url`].
    pub url: String,
    /// How the body is read.
    pub format: Format,
    /// The largest body that is taken, in bytes.
    pub max_bytes: usize,
    /// How many redirects are followed one after the other; 0 makes every redirect a failure.
    pub redirects: u32,
}

impl Http {
    /// Whether a source can be polled there.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check_url(_url: &str) -> Result<(), String> {
        Ok(())
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {} as {}", self.url, self.format)
    }
}

#[derive(Debug)]
pub(super) struct Exchange {
    http: Http,
}

impl Exchange {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }
    pub(super) fn poll(&mut self, _deadline: Deadline) -> Found {
        let _ = &self.http;
        stopped().into()
    }
}
