//! How a body is read: text, one number, one JSON document, or a Prometheus scrape. Pure.
//!
//! Not here: what is looked up in a document or a scrape (expressions do).

use crate::reading::prometheus::Exposition;
use crate::reading::{Content, Failure, Reason};
use std::fmt;
use std::sync::Arc;

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `text`: UTF-8, as it is.
    #[default]
    Text,
    /// `number`: one finite number, blanks around it allowed.
    Number,
    /// `json`: one JSON document.
    Json,
    /// `prometheus`: a scrape in Prometheus's text format, or OpenMetrics.
    Prometheus,
}

/// Some programs put it before their UTF-8; RFC 8259 lets a reader of JSON pass over it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How much of a body that is no number is shown, in characters.
const SHOWN: usize = 40;

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Json, Self::Prometheus];

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Json => "json",
            Self::Prometheus => "prometheus",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Reads a whole body.
    ///
    /// A number is decimal, with optional sign, fraction and exponent, and blanks around it. A JSON
    /// document may be nested 128 deep, and its numbers are finite.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for bytes that are not UTF-8, in every format, and for whatever else is not
    /// of this format: an empty body unless it is text, `nan`, `inf`, `1e999`, hexadecimal, a unit behind
    /// the number, anything behind the JSON document.
    pub fn read(self, body: &[u8]) -> Result<Content, Failure> {
        match self {
            Self::Text => utf8(body).map(|_| Content::Text),
            Self::Number => utf8(without_mark(body)).and_then(number),
            Self::Json => json(without_mark(body)),
            Self::Prometheus => utf8(body).and_then(metrics),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

fn malformed(detail: impl fmt::Display) -> Failure {
    Failure::new(Reason::Malformed, detail)
}

fn utf8(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body)
        .map_err(|error| malformed(format_args!("not UTF-8 at byte {}", error.valid_up_to())))
}

fn number(text: &str) -> Result<Content, Failure> {
    let digits = text.trim();
    if digits.is_empty() {
        return Err(malformed("empty where a number should be"));
    }
    let shown = || digits.chars().take(SHOWN).collect::<String>();
    // Rust reads `inf` and `nan` as numbers too, so letters other than the exponent's are out first.
    let decimal = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match digits.parse::<f64>() {
        Ok(value) if decimal && value.is_finite() => Ok(Content::Number(value)),
        Ok(_) if decimal => Err(malformed(format_args!("too large: {:?}", shown()))),
        _ => Err(malformed(format_args!("not a number: {:?}", shown()))),
    }
}

fn metrics(text: &str) -> Result<Content, Failure> {
    Exposition::parse(text.to_owned())
        .map(|exposition| Content::Metrics(Arc::new(exposition)))
        .map_err(|wrong| malformed(format_args!("not Prometheus text: {wrong}")))
}

fn json(body: &[u8]) -> Result<Content, Failure> {
    serde_json::from_slice(body)
        .map(Content::Json)
        .map_err(|error| malformed(format_args!("not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(format: Format, body: &[u8]) -> String {
        let failure = format.read(body).unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed, "{failure}");
        failure.detail
    }

    #[test]
    fn names_and_formats_belong_together() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.name()), Some(format));
        }
        assert_eq!(Format::parse("Json"), None);
        assert_eq!(Format::parse(""), None);
    }

    #[test]
    fn numbers() {
        for (text, value) in [
            ("0", 0.0),
            ("99.5", 99.5),
            ("-3", -3.0),
            ("+3", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1.5E-2", 0.015),
            (" \t42\r\n", 42.0),
            ("\u{feff}42", 42.0),
            ("1e-999", 0.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
        ] {
            assert_eq!(
                Format::Number.read(text.as_bytes()),
                Ok(Content::Number(value)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_not_one_finite_number_is_malformed() {
        for text in [
            "", " \n", "nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "-1e999", "0x10",
            "1_000", "1,5", "5 apples", "5%", "1 2", "1\n2", "--1", "+", ".", "e5", "1e", "٣", "½",
        ] {
            refused(Format::Number, text.as_bytes());
        }
        assert_eq!(
            refused(Format::Number, b"5 apples\nforged"),
            r#"not a number: "5 apples\nforged""#
        );
        assert!(refused(Format::Number, &[b'x'; 100_000]).len() <= Failure::MAX_DETAIL);
    }

    #[test]
    fn json_documents() {
        let read = |text: &str| Format::Json.read(text.as_bytes());
        assert_eq!(
            read("\u{feff} {\"msg-per-second\": 1890}\n"),
            Ok(Content::Json(serde_json::json!({"msg-per-second": 1890})))
        );
        assert_eq!(read("null"), Ok(Content::Json(serde_json::Value::Null)));
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(127)).is_ok());
        for bad in [
            "",
            "{",
            "{} x",
            "{}{}",
            "nan",
            "[NaN]",
            "[1e999]",
            "[-1e999]",
            "{'a': 1}",
            "[1,]",
            "[Infinity]",
            "\"\n\"",
        ] {
            refused(Format::Json, bad.as_bytes());
        }
        refused(Format::Json, nested(100_000).as_bytes());
        refused(Format::Json, b"\"\xff\"");
    }

    #[test]
    fn text_is_utf8_of_any_kind() {
        for text in ["", "\0", "up\n", "größer"] {
            assert_eq!(Format::Text.read(text.as_bytes()), Ok(Content::Text));
        }
        assert_eq!(refused(Format::Text, b"ab\xffcd"), "not UTF-8 at byte 2");
        assert_eq!(refused(Format::Number, b"\xff"), "not UTF-8 at byte 0");
    }
}
