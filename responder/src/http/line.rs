//! Parses a request line: `METHOD SP TARGET SP HTTP/1.x`. Any other first line is agent-send.

use super::{Content, Options, Status};
use crate::name::NameRef;
use crate::text::index_of;

/// A request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'l> {
    /// The method; not necessarily a valid one.
    pub method: &'l [u8],
    /// The target; not necessarily a valid one.
    pub target: &'l [u8],
}

impl<'l> RequestLine<'l> {
    /// Splits `line`, which has no line end. Returns `None` if it is not a request line.
    #[must_use]
    pub fn parse(line: &'l [u8]) -> Option<Self> {
        let [
            rest @ ..,
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0'..=b'9',
        ] = line
        else {
            return None;
        };
        let blank = rest.iter().position(|byte| *byte == b' ')?;
        Some(Self {
            method: rest.get(..blank)?,
            target: rest.get(blank + 1..)?,
        })
    }

    /// Whether `line` may be the first part of a request line: it begins with capital letters and a space.
    #[must_use]
    pub fn may_begin(line: &[u8]) -> bool {
        let letters = line.iter().take_while(|byte| byte.is_ascii_uppercase());
        let letters = letters.count();
        letters > 0 && line.get(letters) == Some(&b' ')
    }
}

/// The names after the last slash of a path, in the order of [`CONTENTS`].
const FORMS: &[u8] = b"weight\nload\njson\nmetrics\npage";

const CONTENTS: [Content; 5] = [
    Content::Weight,
    Content::Load,
    Content::Json,
    Content::Metrics,
    Content::Page,
];

impl<'l> RequestLine<'l> {
    /// Whether the response has a body.
    ///
    /// # Errors
    /// The status for an unknown or invalid method.
    pub fn has_body(&self) -> Result<bool, Status> {
        match index_of(b"HEAD\nGET\nOPTIONS", self.method) {
            Some(index) => Ok(index > 0),
            None if self.method.iter().all(u8::is_ascii_alphabetic) => {
                Err(Status::MethodNotAllowed)
            }
            None => Err(Status::BadRequest),
        }
    }

    /// What the target names: the content, and the service unless it is a document.
    ///
    /// # Errors
    /// The status for an invalid or unknown target.
    pub fn resource(&self, options: &Options) -> Result<(Option<NameRef<'l>>, Content), Status> {
        if self.target.is_empty() || !self.target.iter().all(u8::is_ascii_graphic) {
            return Err(Status::BadRequest);
        }
        self.known_resource(options).ok_or(Status::NotFound)
    }

    fn known_resource(&self, options: &Options) -> Option<(Option<NameRef<'l>>, Content)> {
        let path = self.target.split(|byte| *byte == b'?').next()?;
        let path = path.strip_prefix(b"/")?;
        let slash = path.iter().position(|byte| *byte == b'/');
        let name = path.get(..slash.unwrap_or(path.len()))?;
        let content = match slash {
            None => Content::Reply,
            Some(slash) => *CONTENTS.get(index_of(FORMS, path.get(slash + 1..)?)?)?,
        };
        let is_document = content.document().is_some();
        if name == b"-" {
            return (is_document && options.documents).then_some((None, content));
        }
        let name = NameRef::parse(name)?;
        (!is_document).then_some((Some(name), content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_split_at_the_blanks() {
        for (line, method, target) in [
            ("GET /web HTTP/1.1", "GET", "/web"),
            ("OPTIONS / HTTP/1.0", "OPTIONS", "/"),
            ("get  HTTP/1.0", "get", ""),
            ("GET /a b HTTP/1.1", "GET", "/a b"),
            (" /web HTTP/1.1", "", "/web"),
        ] {
            let parsed = RequestLine::parse(line.as_bytes()).unwrap();
            assert_eq!(
                (parsed.method, parsed.target),
                (method.as_bytes(), target.as_bytes())
            );
        }
    }

    #[test]
    fn other_lines_are_agent_send() {
        for line in [
            "",
            "web",
            "GET /web",
            "GET /web HTTP/2.0",
            "GET /web HTTP/1.",
            "GET /web HTTP/1.10",
            "GET /web http/1.1",
            "GET HTTP/1.1",
            " HTTP/1.1",
            "HTTP/1.1 200 OK",
        ] {
            assert_eq!(RequestLine::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn capital_letters_and_a_blank_may_begin_a_request_line() {
        for line in ["GET ", "GET /web HTTP/1.", "X y"] {
            assert!(RequestLine::may_begin(line.as_bytes()), "{line:?}");
        }
        for line in ["", "GET", " GET /", "web \n", "Get /", "web api"] {
            assert!(!RequestLine::may_begin(line.as_bytes()), "{line:?}");
        }
    }

    fn line(text: &str) -> RequestLine<'_> {
        RequestLine::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn methods_decide_about_the_body() {
        for (method, expected) in [
            ("GET", Ok(true)),
            ("OPTIONS", Ok(true)),
            ("HEAD", Ok(false)),
            ("POST", Err(Status::MethodNotAllowed)),
            ("get", Err(Status::MethodNotAllowed)),
            ("", Err(Status::MethodNotAllowed)),
            ("G\0T", Err(Status::BadRequest)),
            ("GET\tPOST", Err(Status::BadRequest)),
        ] {
            let text = format!("{method} / HTTP/1.1");
            assert_eq!(line(&text).has_body(), expected, "{method:?}");
        }
    }

    #[test]
    fn targets_name_services_forms_and_documents() {
        let options = Options {
            documents: true,
            ..Options::default()
        };
        let web = || NameRef::parse(b"web");
        for (target, expected) in [
            ("/web", Ok((web(), Content::Reply))),
            ("/web?x=1&y=/weight", Ok((web(), Content::Reply))),
            ("/web/weight", Ok((web(), Content::Weight))),
            ("/web/load?x", Ok((web(), Content::Load))),
            ("/web/json", Ok((web(), Content::Json))),
            ("/-/metrics", Ok((None, Content::Metrics))),
            ("/-/page?x", Ok((None, Content::Page))),
            ("/", Err(Status::NotFound)),
            ("*", Err(Status::NotFound)),
            ("web", Err(Status::NotFound)),
            ("//web", Err(Status::NotFound)),
            ("/web/", Err(Status::NotFound)),
            ("/web/weight/", Err(Status::NotFound)),
            ("/web/metrics", Err(Status::NotFound)),
            ("/-/weight", Err(Status::NotFound)),
            ("/-", Err(Status::NotFound)),
            ("/../web", Err(Status::NotFound)),
            ("/w%65b", Err(Status::NotFound)),
            ("/.state", Err(Status::NotFound)),
            ("", Err(Status::BadRequest)),
            ("/a b", Err(Status::BadRequest)),
            ("/\u{e9}", Err(Status::BadRequest)),
            ("/web\0", Err(Status::BadRequest)),
        ] {
            let text = format!("GET {target} HTTP/1.1");
            assert_eq!(line(&text).resource(&options), expected, "{target:?}");
        }
        let longest = "n".repeat(64);
        let text = format!("OPTIONS /{longest}/weight HTTP/1.1");
        assert!(text.len() <= crate::request::MAX_LINE);
        assert!(line(&text).resource(&options).is_ok());
        for target in ["/-/metrics", "/-/page"] {
            let text = format!("GET {target} HTTP/1.1");
            let resource = line(&text).resource(&Options::default());
            assert_eq!(resource, Err(Status::NotFound));
        }
    }
}
