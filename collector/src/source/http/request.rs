//! The method and the headers of a request. Pure.
//!
//! Not here: credentials, which come from files and never from the configuration.

use reqwest::header::{HeaderName, HeaderValue};
use std::fmt;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`: the answer has no body.
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 5] = [Self::Get, Self::Head, Self::Options, Self::Post, Self::Put];

    /// The word of the configuration, and of HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    pub(super) fn of_client(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Head => reqwest::Method::HEAD,
            Self::Options => reqwest::Method::OPTIONS,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Headers by which both ends agree on the connection and on the end of the body.
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// See [`super::Http::header`].
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "is not a header name: use letters, digits and hyphens".to_owned())?;
    match known.as_str() {
        "authorization" | "proxy-authorization" => {
            return Err(
                "is a credential, which must not be in the configuration; use bearer_file or \
                 basic_file"
                    .to_owned(),
            );
        }
        "accept-encoding" => return Err("is not sent: no body is decompressed".to_owned()),
        name if OURS.contains(&name) => {
            return Err("belongs to the connection and cannot be set".to_owned());
        }
        _ => {}
    }
    // The type alone would accept other bytes too.
    let printable = |byte| matches!(byte, b' '..=b'~' | b'\t');
    let mut value = HeaderValue::from_str(value)
        .ok()
        .filter(|value| value.as_bytes().iter().copied().all(printable))
        .ok_or_else(|| "has a value with other characters than printable ASCII".to_owned())?;
    // It may be a key: Debug does not print it.
    value.set_sensitive(true);
    Ok((known, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_headers_are_accepted() {
        for (name, value) in [
            ("Host", "app.example"),
            ("X-Api-Key", "a b\tc"),
            ("accept", "application/json"),
            ("user-agent", ""),
        ] {
            let (known, sent) = header(name, value).unwrap();
            assert_eq!(known.as_str(), name.to_ascii_lowercase());
            assert_eq!(sent.to_str().unwrap(), value);
            assert_eq!(format!("{sent:?}"), "Sensitive");
        }
    }

    #[test]
    fn invalid_headers_are_refused() {
        for (name, value, wrong) in [
            ("", "x", "is not a header name"),
            ("a b", "x", "is not a header name"),
            ("a:", "x", "is not a header name"),
            ("a\r\nb", "x", "is not a header name"),
            ("Authorization", "Bearer x", "is a credential"),
            ("proxy-authorization", "x", "is a credential"),
            ("Connection", "keep-alive", "belongs to the connection"),
            ("Transfer-Encoding", "chunked", "belongs to the connection"),
            ("Content-Length", "9", "belongs to the connection"),
            ("Accept-Encoding", "gzip", "is not sent"),
            ("x", "a\r\nb: c", "has a value with other"),
            ("x", "größer", "has a value with other"),
        ] {
            let error = header(name, value).unwrap_err();
            assert!(error.starts_with(wrong), "{name:?}: {error}");
        }
    }
}
