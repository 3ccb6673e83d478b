//! What comes out: TOML with comments, into which no text of the file can break.

use std::fmt::Write as _;

/// The longest line of a comment, in characters, as long as its words allow.
const WIDTH: usize = 100;

/// How much of a text of the file is shown in a comment, in characters.
const SHOWN: usize = 200;

/// The text of a configuration that grows.
#[derive(Default)]
pub(super) struct Output {
    text: String,
}

impl Output {
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// What is there so far.
    pub(super) fn so_far(&self) -> &str {
        &self.text
    }

    /// Another text, as it is.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A blank line, unless there is one.
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

    /// A comment.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in shown_whole(text).split(' ').filter(|word| !word.is_empty()) {
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
        let _ = writeln!(self.text, "#     {}", shown_whole(text));
    }

    /// What there is here too, and does something else.
    pub(super) fn differs(&mut self, text: &str) {
        self.comment(&format!("Differs: {text}"));
    }

    /// What is not here.
    pub(super) fn not_moved(&mut self, text: &str) {
        self.comment(&format!("Not moved: {text}"));
    }

    /// What is the same and may not be what was meant.
    pub(super) fn mind(&mut self, text: &str) {
        self.comment(&format!("Mind: {text}"));
    }
}

/// A text of the file for a comment: on one line, in ordinary characters, not too long.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        cut.push_str("...");
    }
    shown_whole(&cut)
}

fn shown_whole(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if ordinary(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// Whether a character shows as itself: no control, and none that turns or hides what stands around it.
fn ordinary(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A string in TOML: a literal where that is easier to read.
pub(super) fn string(value: &str) -> String {
    let plain = value.chars().all(ordinary);
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
            _ if ordinary(character) => text.push(character),
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
            _ if ordinary(character) => text.push(character),
            _ => {
                let _ = write!(text, "\\U{:08X}", u32::from(character));
            }
        }
    }
    text.push('\'');
    text
}

/// A number in the expression language, and for people.
pub(super) fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else if number.abs() >= 1e15 || number.abs() < 1e-6 {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

/// A duration, of milliseconds.
pub(super) fn duration(milliseconds: u64) -> String {
    let duration = std::time::Duration::from_millis(milliseconds);
    string(&humantime::format_duration(duration).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn nothing_breaks_out() {
        let hostile: Vec<String> = (0..0x2100)
            .chain([0xfeff, 0xe0001, 0x1f600])
            .filter_map(char::from_u32)
            .map(|character| format!("a{character}\"'\\\n[x]\r\nb = 1 # {character}"))
            .collect();
        for text in hostile {
            let mut output = Output::default();
            output.comment(&text);
            output.mind(&shown(&text));
            output.string("a", &text);
            output.code(&text);
            let made = output.finish();
            let read = toml::de::DeTable::parse(&made).unwrap();
            assert_eq!(read.get_ref().len(), 1, "{made}");
            assert_eq!(read.get_ref()["a"].get_ref().as_str(), Some(&*text));
        }
    }

    #[test]
    fn strings_of_expressions_are_what_they_were() {
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
    fn comments_are_wrapped() {
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
