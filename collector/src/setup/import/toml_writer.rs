//! Writes TOML with comments. No text of the imported file can end a string or a comment.

use crate::render::text::{is_printable, one_line};
use std::fmt::Write as _;

/// The longest line of a comment, in characters, as long as its words allow.
const WIDTH: usize = 100;

/// The longest excerpt of the imported file in a comment, in characters.
const MAX_EXCERPT: usize = 200;

/// A configuration that is being written.
#[derive(Default)]
pub(super) struct Output {
    text: String,
}

impl Output {
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// The text so far.
    pub(super) fn so_far(&self) -> &str {
        &self.text
    }

    /// Appends TOML as it is.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A blank line, unless the text ends with one.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// The header of a table; `name` has only letters, digits, dots, underscores and hyphens in it.
    pub(super) fn table(&mut self, before: &str, name: &str, after: &str) {
        let name = if name.contains('.') {
            format!("\"{name}\"")
        } else {
            name.to_owned()
        };
        let _ = writeln!(self.text, "[{before}.{name}{after}]");
    }

    /// A key with a string.
    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.raw(key, &string(value));
    }

    /// A key with a value in TOML.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    /// One line of TOML.
    pub(super) fn line(&mut self, toml: &str) {
        let _ = writeln!(self.text, "{toml}");
    }

    /// One line of TOML that does not apply: a person removes the `#`.
    pub(super) fn commented(&mut self, toml: &str) {
        let _ = writeln!(self.text, "# {}", escaped(toml));
    }

    /// A comment.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in escaped(text).split(' ').filter(|word| !word.is_empty()) {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                line.truncate(1);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// A command or a piece of configuration in a comment, on a line of its own.
    pub(super) fn code(&mut self, text: &str) {
        let _ = writeln!(self.text, "#     {}", escaped(text));
    }

    /// A decision that has no translation.
    pub(super) fn undecided(&mut self, text: &str) {
        self.comment(&format!("Undecided: {text}"));
    }

    /// Something that agentcheck has and that behaves differently.
    pub(super) fn differs(&mut self, text: &str) {
        self.comment(&format!("Differs: {text}"));
    }

    /// Something that agentcheck does not have.
    pub(super) fn not_moved(&mut self, text: &str) {
        self.comment(&format!("Not moved: {text}"));
    }

    /// Something that behaves the same, and is perhaps not what the operator wants.
    pub(super) fn mind(&mut self, text: &str) {
        self.comment(&format!("Mind: {text}"));
    }
}

/// A text of the imported file for a comment: one line of bounded length, with characters escaped that do not show.
pub(super) fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_EXCERPT).collect();
    if text.chars().count() > MAX_EXCERPT {
        cut.push_str("...");
    }
    escaped(&cut)
}

fn escaped(text: &str) -> String {
    one_line(text, usize::MAX)
}

/// A string in TOML; a literal string where that needs no escapes.
pub(super) fn string(value: &str) -> String {
    let plain = value.chars().all(is_printable);
    if plain && value.contains(['"', '\\']) && !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            _ if is_printable(character) => text.push(character),
            _ => {
                let _ = write!(text, "\\U{:08X}", u32::from(character));
            }
        }
    }
    text.push('"');
    text
}

/// A string in the expression language.
pub(super) fn expression_string(value: &str) -> String {
    let mut text = String::from("'");
    for character in value.chars() {
        match character {
            '\'' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\n' => text.push_str("\\n"),
            _ if is_printable(character) => text.push(character),
            _ => {
                let _ = write!(text, "\\U{:08X}", u32::from(character));
            }
        }
    }
    text.push('\'');
    text
}

/// A number as the expression language and people write it.
pub(super) fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else if number.abs() >= 1e15 || number.abs() < 1e-6 {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

/// A duration in TOML.
pub(super) fn duration(milliseconds: u64) -> String {
    let duration = std::time::Duration::from_millis(milliseconds);
    string(&humantime::format_duration(duration).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn hostile_text_ends_no_string_and_no_comment() {
        let hostile: Vec<String> = (0..0x2100)
            .chain([0xfeff, 0xe0001, 0x1f600])
            .filter_map(char::from_u32)
            .map(|character| format!("a{character}\"'\\\n[x]\r\nb = 1 # {character}"))
            .collect();
        for text in hostile {
            let mut output = Output::default();
            output.comment(&text);
            output.mind(&excerpt(&text));
            output.commented(&text);
            output.string("a", &text);
            output.code(&text);
            let made = output.finish();
            let read = toml::de::DeTable::parse(&made).unwrap();
            assert_eq!(read.get_ref().len(), 1, "{made}");
            assert_eq!(read.get_ref()["a"].get_ref().as_str(), Some(&*text));
        }
    }

    #[test]
    fn expression_strings_keep_their_text() {
        use crate::expression::{Environment, Expression, Scope, Type};
        for text in ["a'b\"c\\d\ne\tf\u{1}\u{2028}é", "", "\\d+\\.\\'"] {
            let quoted = expression_string(text);
            let same = format!(
                "{quoted} == {quoted} && size({quoted}) == {}",
                text.chars().count()
            );
            let compiled = Expression::compile(&same, Type::Truth, &Environment::default());
            assert_eq!(compiled.unwrap().truth(&Scope::new()), Ok(true), "{same}");
        }
    }

    #[test]
    fn long_comments_are_wrapped() {
        let mut output = Output::default();
        output.differs(&"word ".repeat(50));
        let text = output.finish();
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.lines()
                .all(|line| line.len() <= WIDTH && line.starts_with("# "))
        );
    }
}
