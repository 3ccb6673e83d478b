//! Credentials of a request. Each is in a file of its own, which is read at each poll, so that a new one is
//! used at once. No error and no Debug prints them.

use super::super::Deadline;
use super::super::Secret;
use super::super::file::read_bounded;
use crate::reading::{Failure, Reason};
use crate::render::text::without_byte_order_mark;
use reqwest::blocking::RequestBuilder;
use std::path::PathBuf;

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
        let (key, file) = match self {
            Self::Bearer(file) => ("bearer_file", file),
            Self::Basic(file) => ("basic_file", file),
        };
        let wrong = |reason, detail: &str| Failure::new(reason, format_args!("{key}: {detail}"));
        let content = read_bounded(file, MAX_BYTES, deadline)
            .map_err(|failure| wrong(failure.reason, &failure.detail))?;
        one_line(&content)
            .and_then(|line| match self {
                Self::Bearer(_) => bearer(&line).map(|token| request.bearer_auth(token)),
                Self::Basic(_) => {
                    basic(&line).map(|(user, password)| request.basic_auth(user, Some(password)))
                }
            })
            .map_err(|what| wrong(Reason::Malformed, &format!("{}: {what}", file.display())))
    }
}

/// The one line of a file, without a byte order mark and without blanks and line ends around it.
fn one_line(content: &[u8]) -> Result<Secret, &'static str> {
    let text = std::str::from_utf8(without_byte_order_mark(content))
        .map_err(|_| "not UTF-8")?
        .trim();
    if text.is_empty() {
        return Err("empty");
    }
    if text.chars().any(char::is_control) {
        return Err("has several lines or control characters");
    }
    Ok(text.into())
}

fn bearer(line: &Secret) -> Result<&str, &'static str> {
    let token = line.expose();
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err("has blanks or other characters than printable ASCII")
    }
}

fn basic(line: &Secret) -> Result<(&str, &str), &'static str> {
    line.expose()
        .split_once(':')
        .ok_or("has no colon between user and password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_printable_word() {
        let token = |content: &[u8]| Some(bearer(&one_line(content).ok()?).ok()?.to_owned());
        for content in ["abc.D-1=\n", " \r\nabc.D-1=\r\n\n", "\u{feff}abc.D-1=\n"] {
            assert_eq!(
                token(content.as_bytes()).as_deref(),
                Some("abc.D-1="),
                "{content:?}"
            );
        }
        for bad in [
            &b""[..],
            b" \n",
            b"\xef\xbb\xbf\n",
            b"a b",
            b"a\nb",
            b"a\0",
            b"\xff",
            "ä".as_bytes(),
        ] {
            assert_eq!(token(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn logins_have_a_colon() {
        let login = |content: &[u8]| {
            let line = one_line(content).ok()?;
            let (user, password) = basic(&line).ok()?;
            Some((user.to_owned(), password.to_owned()))
        };
        for (content, user, password) in [
            ("me:secret\n", "me", "secret"),
            ("\u{feff}me:secret\r\n", "me", "secret"),
            ("me:a:b c", "me", "a:b c"),
            ("größer:ß\n", "größer", "ß"),
            ("me:", "me", ""),
        ] {
            let expected = (user.to_owned(), password.to_owned());
            assert_eq!(login(content.as_bytes()), Some(expected));
        }
        for bad in [&b""[..], b"me", b"a:b\nc:d", b"a:\x1b", b"\xff:b"] {
            assert_eq!(login(bad), None, "{bad:?}");
        }
    }
}
