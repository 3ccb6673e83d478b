//! How a body is read: as text, one number, one JSON document, a table or a Prometheus scrape. Pure.
//!
//! Not here: lookups in a document, a table or a scrape (expressions do them).

mod csv;
mod json;

use crate::reading::prometheus::Exposition;
use crate::reading::{Content, Failure, Reason};
use crate::render::text::without_byte_order_mark;
use std::fmt;
use std::sync::Arc;

/// The largest number of values in a JSON document or a table: objects, lists, and their elements. Each takes memory
/// and time of evaluation that its size in bytes does not bound.
pub const MAX_VALUES: usize = 20_000;

/// How a body is read. A byte order mark before it is ignored in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `text`: UTF-8 text.
    #[default]
    Text,
    /// `number`: one finite number, with optional blanks around it.
    Number,
    /// `json`: one JSON document.
    Json,
    /// `csv`: comma-separated values with a header row.
    Csv,
    /// `prometheus`: a scrape in Prometheus text format, or OpenMetrics.
    Prometheus,
}

/// How much of a body that is not a number an error contains, in characters.
const EXCERPT: usize = 40;

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [
        Self::Text,
        Self::Number,
        Self::Json,
        Self::Csv,
        Self::Prometheus,
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Json => "json",
            Self::Csv => "csv",
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
    /// A number is decimal, with optional sign, fraction and exponent. A JSON document may be nested 128 deep;
    /// its numbers are finite. A table has a header row, and every row has as many cells.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for bytes that are not UTF-8, in every format, and for a body that does not have
    /// the format: an empty body unless it is text, `nan`, `inf`, `1e999`, hexadecimal, a unit after the
    /// number, anything after the JSON document. [`Reason::TooLarge`] for more than [`MAX_VALUES`] values.
    pub fn read(self, body: &[u8]) -> Result<Content, Failure> {
        let body = without_byte_order_mark(body);
        match self {
            Self::Text => utf8(body).map(|_| Content::Text),
            Self::Number => utf8(body).and_then(number),
            Self::Json => json::read(body).map(Content::Json),
            Self::Csv => utf8(body).and_then(csv::read).map(Content::Rows),
            Self::Prometheus => utf8(body).and_then(metrics),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The one rule for `text`, unless a source keeps it raw: no byte order mark, LF instead of CRLF, and without
/// the final line end.
#[must_use]
pub fn normal_text(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.contains("\r\n") {
        text = text.replace("\r\n", "\n");
    }
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

fn malformed(detail: impl fmt::Display) -> Failure {
    Failure::new(Reason::Malformed, detail)
}

fn too_many_values() -> Failure {
    Failure::new(
        Reason::TooLarge,
        format_args!("more than {MAX_VALUES} values"),
    )
}

fn utf8(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body)
        .map_err(|error| malformed(format_args!("not UTF-8 at byte {}", error.valid_up_to())))
}

fn number(text: &str) -> Result<Content, Failure> {
    let digits = text.trim();
    if digits.is_empty() {
        return Err(malformed("not a number: empty"));
    }
    let excerpt = || digits.chars().take(EXCERPT).collect::<String>();
    match decimal(digits) {
        Some(value) if value.is_finite() => Ok(Content::Number(value)),
        Some(_) => Err(malformed(format_args!("too large: {:?}", excerpt()))),
        None => Err(malformed(format_args!("not a number: {:?}", excerpt()))),
    }
}

/// A decimal number, which may be too large for a finite one. Rust accepts `inf` and `nan`, too.
fn decimal(digits: &str) -> Option<f64> {
    let decimal = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    digits.parse().ok().filter(|_| decimal)
}

fn metrics(text: &str) -> Result<Content, Failure> {
    Exposition::parse(text.to_owned())
        .map(|exposition| Content::Metrics(Arc::new(exposition)))
        .map_err(|error| malformed(format_args!("not Prometheus text: {error}")))
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
    fn every_format_has_its_name() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.name()), Some(format));
        }
        assert_eq!(Format::parse("Json"), None);
        assert_eq!(Format::parse(""), None);
    }

    #[test]
    fn numbers_are_parsed() {
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
    fn other_texts_than_one_finite_number_are_malformed() {
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
    fn json_documents_are_parsed() {
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
    fn text_is_any_utf8() {
        for text in ["", "\0", "up\n", "größer"] {
            assert_eq!(Format::Text.read(text.as_bytes()), Ok(Content::Text));
        }
        assert_eq!(refused(Format::Text, b"ab\xffcd"), "not UTF-8 at byte 2");
        assert_eq!(refused(Format::Number, b"\xff"), "not UTF-8 at byte 0");
    }

    /// The rule that operators' patterns rely on: `'^ok$'` matches `ok` and a line end.
    #[test]
    fn text_has_one_form() {
        for (body, text) in [
            ("ok\n", "ok"),
            ("ok\r\n", "ok"),
            ("ok", "ok"),
            ("ok\n\n", "ok\n"),
            ("role:master\r\nlag:0\r\n", "role:master\nlag:0"),
            ("\u{feff}ok\n", "ok"),
            ("a\rb", "a\rb"),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(normal_text(body.to_owned()), text, "{body:?}");
        }
    }

    #[test]
    fn byte_order_mark_is_ignored_in_every_format() {
        let marked = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for (format, text) in [
            (Format::Text, "x"),
            (Format::Number, "1"),
            (Format::Json, "[1]"),
            (Format::Csv, "a,b\n1,2\n"),
            (Format::Prometheus, "up 1\n"),
        ] {
            let (with, without) = (format.read(&marked(text)), format.read(text.as_bytes()));
            assert!(without.is_ok(), "{format}");
            match (with, without) {
                (Ok(Content::Metrics(with)), Ok(Content::Metrics(without))) => {
                    assert_eq!(with, without);
                }
                (with, without) => assert_eq!(with, without, "{format}"),
            }
        }
    }

    #[test]
    fn number_of_values_is_bounded() {
        let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert!(Format::Json.read(list(MAX_VALUES - 1).as_bytes()).is_ok());
        for (format, body) in [
            (Format::Json, list(MAX_VALUES)),
            (Format::Json, format!("{{\"a\":{}}}", list(MAX_VALUES))),
            (
                Format::Csv,
                "a,b\n".to_owned() + &"1,2\n".repeat(MAX_VALUES / 3 + 1),
            ),
        ] {
            let failure = format.read(body.as_bytes()).unwrap_err();
            assert_eq!(failure.reason, Reason::TooLarge, "{failure}");
        }
    }
}
