//! The text of a configuration as errors may show it: without secrets, and printable. Pure.
//!
//! Secret are the values of `headers`, `env`, `body` and `send`, of keys that look like a misspelt secret, and the user,
//! the query and the fragment of `url`. The TOML parser's events also exist for a file that it refuses. After an error
//! within a secret, everything up to the next table header is secret: the parser cannot know where the secret ends.

use crate::render::text::is_printable;
use std::ops::Range;
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

/// Keys whose values are secret.
const SECRET: [&str; 4] = ["headers", "env", "body", "send"];

/// Parts of names of secrets that other programs have, and of misspelt keys.
const SUSPICIOUS: [&str; 7] = [
    "header",
    "environ",
    "passw",
    "token",
    "secret",
    "auth",
    "credential",
];

/// The deepest nesting of values. Deeper values have no events, and are hidden.
const MAX_DEPTH: u32 = 80;

/// The text with `*` in place of secrets and `?` in place of unprintable characters. Every line begins at the
/// same byte as before.
pub(super) fn masked(text: &str) -> String {
    let tokens = Source::new(text).lex().into_vec();
    let mut scan = Scan::new(text);
    let mut known = 0;
    let mut receiver = |event: Event| {
        // Nothing is known of the text between two events.
        if known < event.span().start() {
            scan.hidden.push(known..event.span().start());
        }
        scan.take(&event);
        known = event.span().end();
    };
    let mut guard = RecursionGuard::new(&mut receiver, MAX_DEPTH);
    parse_document(&tokens, &mut guard, &mut ());
    let mut hidden = scan.hidden;
    hidden.push(known..text.len());

    hide(text, hidden)
}

/// The same for a file in another format than TOML, by its lines: of a line that names a secret, all after the name, and
/// the lines below it that are indented further.
pub(super) fn masked_lines(text: &str) -> String {
    let mut hidden = Vec::new();
    let mut start = 0;
    let mut secret_indent = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '-']);
        let indent = line.len() - content.len();
        if secret_indent.is_some_and(|above| indent > above || content.trim().is_empty()) {
            hidden.push(start..start + line.len());
        } else {
            secret_indent = (names_secret(line) || has_secret_url(line)).then_some(indent);
            if secret_indent.is_some() {
                let name = line.find([':', '=', '>']).map_or(indent, |end| end + 1);
                hidden.push(start + name..start + line.len());
            }
        }
        start += line.len();
    }
    hide(text, hidden)
}

/// Whether a line contains the name of a secret.
fn names_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let mut names = SECRET.iter().chain(&SUSPICIOUS);
    names.any(|name| line.contains(name))
}

/// Whether a line contains a URL with a user, a query or a fragment.
fn has_secret_url(line: &str) -> bool {
    let url = line.split_once("://").map(|(_, url)| url);
    url.is_some_and(|url| url.contains(['@', '?', '#']))
}

/// The text with `*` in place of the hidden ranges, which are in their order, and `?` in place of unprintable characters.
fn hide(text: &str, hidden: Vec<Range<usize>>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut hidden = hidden.into_iter().peekable();
    for (at, character) in text.char_indices() {
        while hidden.next_if(|range| range.end <= at).is_some() {}
        let secret = hidden.peek().is_some_and(|range| range.contains(&at));
        let replaced = match character {
            '\n' | '\r' | '\t' => None,
            _ if secret && !character.is_whitespace() => Some("*"),
            _ if !is_printable(character) => Some("?"),
            _ => None,
        };
        match replaced {
            Some(mark) => shown.push_str(&mark.repeat(character.len_utf8())),
            None => shown.push(character),
        }
    }
    shown
}

/// A key, by what its value may contain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Secret,
    Url,
    Other,
}

/// What the events so far mean for the next one.
struct Scan<'t> {
    text: &'t str,
    /// The ranges to hide, in their order.
    hidden: Vec<Range<usize>>,
    /// Whether the table of the current header is secret.
    table: bool,
    /// Whether the values of the current key are secret, and those of the brackets around it, outermost first.
    key: Holds,
    outer: Vec<Holds>,
    in_header: bool,
    /// Whether an error left the end of a secret unknown.
    is_lost: bool,
    /// Whether the line has a secret: a comment may repeat it.
    line: bool,
    /// Whether a value has just ended. A key in its place may be a part of it.
    is_after_value: bool,
    /// The end of the last line with a syntax error, and whether it names a secret. A long line may have many errors.
    error_line: (usize, bool),
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            hidden: Vec::new(),
            table: false,
            key: Holds::Other,
            outer: Vec::new(),
            in_header: false,
            is_lost: false,
            line: false,
            is_after_value: false,
            error_line: (0, false),
        }
    }

    fn is_secret(&self) -> bool {
        let is = |holds: &Holds| *holds == Holds::Secret;
        self.is_lost || self.table || is(&self.key) || self.outer.iter().any(is)
    }

    fn take(&mut self, event: &Event) {
        let span = event.span().start()..event.span().end();
        let was_after_value = self.is_after_value;
        self.is_after_value = match event.kind() {
            EventKind::Scalar | EventKind::InlineTableClose | EventKind::ArrayClose => true,
            EventKind::Whitespace | EventKind::Error => was_after_value,
            _ => false,
        };
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                let text = self.text;
                *self = Self {
                    hidden: std::mem::take(&mut self.hidden),
                    in_header: true,
                    ..Self::new(text)
                };
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                self.in_header = false;
                self.key = Holds::Other;
            }
            EventKind::SimpleKey => {
                self.is_lost |= was_after_value && (self.is_secret() || self.line);
                self.take_key(span);
            }
            EventKind::InlineTableOpen | EventKind::ArrayOpen => self.outer.push(self.key),
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                self.key = self.outer.pop().unwrap_or(Holds::Other);
            }
            EventKind::ValueSep => {
                // In an array, the next value belongs to the same key.
                if self.outer.last() != Some(&self.key) {
                    self.key = Holds::Other;
                }
            }
            EventKind::Scalar => {
                self.line |= self.is_secret() || self.key == Holds::Url;
                match self.key {
                    _ if self.is_secret() => self.hidden.push(span),
                    Holds::Url => self.hide_in_url(span),
                    _ => {}
                }
            }
            EventKind::Comment if self.line || self.is_secret() => self.hidden.push(span),
            EventKind::Newline => {
                self.line = false;
                self.in_header = false;
                if self.outer.is_empty() {
                    self.key = Holds::Other;
                }
            }
            EventKind::Error => {
                let is_known = !self.is_secret() && !self.line && self.key != Holds::Url;
                let looks_secret = self.line_looks_secret(span.start);
                self.is_lost |= !is_known || looks_secret;
                if self.is_lost {
                    self.hidden.push(span);
                }
            }
            EventKind::Comment
            | EventKind::KeySep
            | EventKind::KeyValSep
            | EventKind::Whitespace => {}
        }
    }

    fn take_key(&mut self, span: Range<usize>) {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let name = text.trim_matches(['"', '\'']);
        if self.in_header {
            self.table |= SECRET.contains(&name);
            return;
        }
        // After an error, a part of a secret may have the form of a key. A header in one text is no name.
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if self.is_lost || self.is_secret() && !name.chars().all(is_name) {
            self.hidden.push(span);
            return;
        }
        let lower = name.to_ascii_lowercase();
        let is_file = lower.ends_with("_file");
        let holds = match name {
            _ if SECRET.contains(&name) => Holds::Secret,
            _ if !is_file && SUSPICIOUS.iter().any(|part| lower.contains(part)) => Holds::Secret,
            "url" => Holds::Url,
            _ => Holds::Other,
        };
        // Of a dotted key, each part counts.
        if holds == Holds::Secret || self.key == Holds::Other {
            self.key = holds;
        }
    }

    /// Whether the line of a syntax error names a secret.
    fn line_looks_secret(&mut self, at: usize) -> bool {
        if self.error_line.0 <= at {
            let before = self.text.get(..at).unwrap_or_default();
            let start = before.rfind('\n').map_or(0, |end| end + 1);
            let line = self.text.get(start..).unwrap_or_default();
            let line = line.split_inclusive('\n').next().unwrap_or_default();
            let end = start + line.len();
            self.error_line = (end, names_secret(line) || line.contains("://"));
        }
        self.error_line.1
    }

    /// Hides the user, the query and the fragment of a URL.
    fn hide_in_url(&mut self, span: Range<usize>) {
        let url = self.text.get(span.clone()).unwrap_or_default();
        let host = url.find("//").map_or(0, |at| at + 2);
        let path = url.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
        let authority = url.get(host..path.map_or(url.len(), |path| host + path));
        let at = |from: usize, to: usize| span.start + from..span.start + to;
        if let Some(user) = authority.and_then(|authority| authority.rfind('@')) {
            self.hidden.push(at(host, host + user));
        }
        if let Some(query) = url.find(['?', '#']) {
            let end = url.rfind(['"', '\'']).unwrap_or(url.len());
            self.hidden.push(at(query + 1, end.max(query + 1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        for (text, shown) in [
            (
                "headers = { Host = \"app\", X-Key = 'k\"=}' } # c\n",
                "headers = { Host = *****, X-Key = ****** } * *\n",
            ),
            ("headers = \"X-Key: k\"\n", "headers = ******* **\n"),
            (
                "headers.X-Key = \"k\"\nurl = 1\n",
                "headers.X-Key = ***\nurl = 1\n",
            ),
            (
                "env = [\"A=b\",\n \"C=d\"]\nx = \"y\"\n",
                "env = [*****,\n *****]\nx = \"y\"\n",
            ),
            (
                "[source.a.command.env]\nTOKEN = 'x'\n[service.web]\nfloor = 1\n",
                "[source.a.command.env]\nTOKEN = ***\n[service.web]\nfloor = 1\n",
            ),
            (
                "http = { url = \"http://a/\", headers = { K = \"s\\\"x\" } }\n",
                "http = { url = \"http://a/\", headers = { K = ****** } }\n",
            ),
            (
                "body = \"\"\"\n{\"token\": 1}\n\"\"\"\nmethod = \"POST\"\n",
                "body = ***\n********* **\n***\nmethod = \"POST\"\n",
            ),
            ("headers = { K = unquoted\n", "headers = { K = ********\n"),
            (
                "url = \"http://me:word@a/p?token=x&y\" # why?\n",
                "url = \"http://*******@a/p?*********\" * ****\n",
            ),
            (
                "body_of = \"x\"\nweight = 'env'\n",
                "body_of = \"x\"\nweight = 'env'\n",
            ),
            (
                "send = \"AUTH k\"\nsend_of = \"x\"\n",
                "send = ***** **\nsend_of = \"x\"\n",
            ),
            (
                "[source.a.http.headers] # its token\nK = \"k\" k # k\nL = [\"k\"]\n[service.env]\n",
                "[source.a.http.headers] * *** *****\nK = *** * * *\n* = [***]\n[service.env]\n",
            ),
            (
                "http = { url = \"http://me:k@a/#k\", body = \"k\", headers = { K = 'k' }, x = 1 }\n",
                "http = { url = \"http://****@a/#*\", body = ***, headers = { K = *** }, x = 1 }\n",
            ),
            (
                "\"url\" = \"http://me:k@a b/?k\"\n",
                "\"url\" = \"http://****@a b/?*\"\n",
            ),
            (
                "env = {\n A = \"k\" k\n B = \"k\"\n}\nC = \"k\"\n[service.web]\nfloor = 1\n",
                "env = {\n A = *** *\n * * ***\n}\n* = ***\n[service.web]\nfloor = 1\n",
            ),
            (
                "header = \"k\"\nbearer_token_file = 'f'\n",
                "header = ***\nbearer_token_file = 'f'\n",
            ),
            ("5 headers = \"k\"\n", "5 ******* * ***\n"),
            (
                "headers = { \"K: k\" = \"\", K-2 = 'k' }\n",
                "headers = { *** ** = **, K-2 = *** }\n",
            ),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn secrets_of_other_formats_are_masked_by_their_lines() {
        for (text, shown) in [
            (
                "- name: a\n  url: http://127.0.0.1/\n  port: [1]\n",
                "- name: a\n  url: http://127.0.0.1/\n  port: [1]\n",
            ),
            (
                "  url: http://me:k@a/\n  headers:\n    X-Key: k\n\n  port: 1\n",
                "  url: **************\n  headers:\n    ****** *\n\n  port: 1\n",
            ),
            ("<Token>k</Token>\n", "<Token>*********\n"),
        ] {
            assert_eq!(masked_lines(text), shown, "{text}");
        }
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(
            masked("a = \"\u{1b}[2J\u{202e}\"\t\r\n"),
            "a = \"?[2J???\"\t\r\n"
        );
    }

    proptest! {
        #[test]
        fn every_line_keeps_its_place(text in "([a-z =\"'{}\\[\\].,\n\\\\?@/\u{1b}\u{e9}]|headers|env|url){0,60}") {
            let shown = masked(&text);
            prop_assert_eq!(shown.len(), text.len());
            let ends = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
            prop_assert_eq!(ends(&shown), ends(&text));
        }
    }
}
