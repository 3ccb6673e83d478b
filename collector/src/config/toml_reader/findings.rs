//! The collected findings, and their places in the files.

use super::super::diagnostics::{Diagnostic, Severity};
use super::super::files::Files;
use std::ops::Range;
use std::path::PathBuf;

/// The findings, and the files that they are about.
pub(in super::super) struct Findings<'t> {
    pub(in super::super) files: &'t Files,
    pub(in super::super) all: Vec<Diagnostic>,
    /// Files with secrets, and where the configuration names them.
    pub(in super::super) secrets: Vec<(Range<usize>, PathBuf)>,
}

impl<'t> Findings<'t> {
    pub(in super::super) fn new(files: &'t Files) -> Self {
        Self {
            files,
            all: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// The line of an offset in its file, counted from 1.
    pub(in super::super) fn line(&self, at: usize) -> usize {
        self.files.position(at).line
    }

    /// Where something is, seen from the offset `from`: `at line 20`, or `at line 20 of conf.d/a.toml`.
    pub(in super::super) fn place(&self, at: usize, from: usize) -> String {
        let position = self.files.position(at);
        match self.files.number(at) == self.files.number(from) {
            true => format!("at line {}", position.line),
            false => format!("at line {} of {}", position.line, position.file.display()),
        }
    }

    pub(in super::super) fn push(&mut self, finding: Diagnostic) {
        self.all.push(finding);
    }

    /// Removes findings that can result from other mistakes: a part that is not readable can be the one that is
    /// missing elsewhere, and a service with mistakes can be the one that uses a source.
    pub(in super::super) fn drop_consequences(&mut self, syntax_is_wrong: bool) {
        let wrong = |finding: &Diagnostic| finding.severity == Severity::Error;
        let any_wrong = self.all.iter().any(wrong);
        self.all.retain(|finding| {
            let dropped = if wrong(finding) {
                syntax_is_wrong
            } else {
                any_wrong
            };
            !(finding.consequence && dropped)
        });
    }

    /// The bytes of the file with `part` of the string whose literal is at `literal`. The escapes of a basic string
    /// make the two differ.
    pub(in super::super) fn within_string(
        &self,
        literal: Range<usize>,
        part: Range<usize>,
    ) -> Range<usize> {
        let raw = self.files.text().get(literal.clone()).unwrap_or_default();
        let (content, escapes) = match raw {
            raw if raw.starts_with("\"\"\"") => (3, true),
            raw if raw.starts_with("'''") => (3, false),
            raw if raw.starts_with('"') => (1, true),
            _ => (1, false),
        };
        let body = raw.get(content..).unwrap_or_default();
        // A newline directly after the opening quotes of a multi-line string is not part of it.
        let skipped = match content {
            3 if body.starts_with("\r\n") => 2,
            3 if body.starts_with('\n') => 1,
            _ => 0,
        };
        let base = literal.start + content + skipped;
        let body = body.get(skipped..).unwrap_or_default();
        if !escapes {
            return base + part.start..base + part.end;
        }
        base + raw_offset(body, part.start)..base + raw_offset(body, part.end)
    }
}

/// The offset, in the source of a basic string, of its `decoded`-th byte.
fn raw_offset(body: &str, decoded: usize) -> usize {
    let mut seen = 0;
    let mut characters = body.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        // A backslash at the end of a line skips white space.
        let continued = |(_, next): &(usize, char)| next.is_whitespace();
        if character == '\\' && characters.peek().is_some_and(continued) {
            while characters.next_if(continued).is_some() {}
            continue;
        }
        if seen >= decoded {
            return at;
        }
        if character != '\\' {
            seen += character.len_utf8();
            continue;
        }
        match characters.next().map(|(_, escaped)| escaped) {
            Some('u') => seen += skip_code(body, &mut characters, 4),
            Some('U') => seen += skip_code(body, &mut characters, 8),
            Some('x') => seen += skip_code(body, &mut characters, 2),
            _ => seen += 1,
        }
    }
    body.len().min(decoded)
}

/// Skips the digits of an escape; gives the length of the character that it means.
fn skip_code(
    body: &str,
    characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    digits: usize,
) -> usize {
    let start = characters.peek().map_or(body.len(), |(at, _)| *at);
    let code = body.get(start..start + digits).unwrap_or_default();
    for _ in 0..digits {
        characters.next();
    }
    u32::from_str_radix(code, 16)
        .ok()
        .and_then(char::from_u32)
        .map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_inside_strings() {
        let place = |literal: &str, word: &str, decoded: &str| {
            let text = format!("key = {literal}\n");
            let files = Files::one(std::path::Path::new("test"), &text);
            let findings = Findings::new(&files);
            let start = decoded.find(word).unwrap();
            let span = findings.within_string(6..6 + literal.len(), start..start + word.len());
            text[span].to_owned()
        };
        assert_eq!(place(r#""a > b""#, "b", "a > b"), "b");
        assert_eq!(place("'a > b'", "b", "a > b"), "b");
        assert_eq!(place(r#""x == \"y\" + zz""#, "zz", "x == \"y\" + zz"), "zz");
        assert_eq!(place(r#""\u00e4\t zz""#, "zz", "ä\t zz"), "zz");
        assert_eq!(place("\"\"\"\na \\\n   zz\"\"\"", "zz", "a zz"), "zz");
        assert_eq!(place("'''\na \n zz'''", "zz", "a \n zz"), "zz");
        assert_eq!(place("\"ä zz\"", "zz", "ä zz"), "zz");
    }
}
