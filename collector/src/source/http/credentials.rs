//! Credentials of a request. Each is in a file of its own, which is read at each poll, so that a new one is
//! used at once. No error and no Debug prints them.

use super::super::Deadline;
use super::super::file::read_bounded;
use crate::reading::{Failure, Reason};
use reqwest::blocking::RequestBuilder;
use std::path::{Path, PathBuf};

/// The largest file of credentials, in bytes: servers accept no more in a header.
const MAX_BYTES: usize = 8 * 1024;

/// Where credentials are, and how they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `bearer_file`: a token, sent as `Authorization: Bearer`.
    Bearer(PathBuf),
    /// `basic_file`: `user:password` on one line, sent as `Authorization: Basic`.
    Basic(PathBuf),
}

impl Credentials {
    /// Adds the file's present content to the request.
    pub(super) fn add_to(
        &self,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<RequestBuilder, Failure> {
        match self {
            Self::Bearer(file) => {
                let token = read("bearer_file", file, deadline)?;
                bearer(&token)
                    .map(|token| request.bearer_auth(token))
                    .map_err(|wrong| malformed("bearer_file", file, wrong))
            }
            Self::Basic(file) => {
                let line = read("basic_file", file, deadline)?;
                basic(&line)
                    .map(|(user, password)| request.basic_auth(user, Some(password)))
                    .map_err(|wrong| malformed("basic_file", file, wrong))
            }
        }
    }
}

fn read(key: &str, file: &Path, deadline: Deadline) -> Result<Vec<u8>, Failure> {
    read_bounded(file, MAX_BYTES, deadline)
        .map_err(|failure| Failure::new(failure.reason, format_args!("{key}: {}", failure.detail)))
}

fn malformed(key: &str, file: &Path, wrong: &str) -> Failure {
    Failure::new(
        Reason::Malformed,
        format_args!("{key}: {}: {wrong}", file.display()),
    )
}

/// The one line that a file holds, without the blanks and newlines around it.
fn one_line(content: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(content)
        .map_err(|_| "not UTF-8")?
        .trim();
    if text.is_empty() {
        return Err("empty");
    }
    if text.chars().any(char::is_control) {
        return Err("has several lines or control characters");
    }
    Ok(text)
}

fn bearer(content: &[u8]) -> Result<&str, &'static str> {
    let token = one_line(content)?;
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err("has blanks or other characters than printable ASCII")
    }
}

fn basic(content: &[u8]) -> Result<(&str, &str), &'static str> {
    one_line(content)?
        .split_once(':')
        .ok_or("has no colon between user and password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_printable_word() {
        assert_eq!(bearer(b"abc.DEF-1_2=\n"), Ok("abc.DEF-1_2="));
        assert_eq!(bearer(b" \r\nabc\r\n\n"), Ok("abc"));
        for bad in [
            &b""[..],
            b" \n",
            b"a b",
            b"a\nb",
            b"a\0",
            b"\xff",
            "ä".as_bytes(),
        ] {
            assert!(bearer(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn logins_have_a_colon() {
        assert_eq!(basic(b"me:secret\n"), Ok(("me", "secret")));
        assert_eq!(basic(b"me:a:b c"), Ok(("me", "a:b c")));
        assert_eq!(basic("größer:ß\n".as_bytes()), Ok(("größer", "ß")));
        assert_eq!(basic(b"me:"), Ok(("me", "")));
        for bad in [&b""[..], b"me", b"a:b\nc:d", b"a:\x1b", b"\xff:b"] {
            assert!(basic(bad).is_err(), "{bad:?}");
        }
    }
}
