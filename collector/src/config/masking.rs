//! The text of a configuration as errors may show it: without secrets, and printable. Pure.
//!
//! Secret are the values of `headers`, `env` and `body`, and the query and the user of `url`. They are found
//! by the text alone, because an error may be about a file that cannot be parsed.

use crate::render::text::is_printable;

/// Keys whose values are secret.
const SECRET: [&str; 3] = ["headers", "env", "body"];

/// What the scan is in at the beginning of a line.
enum Within {
    /// Keys of a table; `secret`: all its values are.
    Table { secret: bool },
    /// An inline table or an array of secrets, `depth` brackets deep.
    Brackets {
        depth: usize,
        array: bool,
        value: bool,
    },
    /// A secret multi-line string, until this delimiter.
    Text(&'static str),
}

/// The text with `*` in place of secrets and `?` in place of unprintable characters. Every line begins at the
/// same byte as before.
pub(super) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut secret_table = false;
    let mut within = Within::Table { secret: false };
    for line in text.split_inclusive('\n') {
        let (hidden, next) = match within {
            Within::Text(delimiter) => match line.find(delimiter) {
                Some(end) => (vec![(0, end)], None),
                None => (vec![(0, line.len())], Some(Within::Text(delimiter))),
            },
            Within::Brackets {
                depth,
                array,
                value,
            } => in_brackets(line, 0, (depth, array, value)),
            Within::Table { .. } if line.trim_start().starts_with('[') => {
                let name = line.trim().trim_matches(['[', ']']);
                secret_table = name.split('.').any(is_secret);
                (Vec::new(), None)
            }
            Within::Table { secret } => in_table(line, secret),
        };
        within = next.unwrap_or(Within::Table {
            secret: secret_table,
        });
        for (at, character) in line.char_indices() {
            let secret = hidden.iter().any(|(from, to)| (*from..*to).contains(&at));
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
    }
    shown
}

fn is_secret(key: &str) -> bool {
    SECRET.contains(&key.trim().trim_matches(['"', '\'']))
}

type Hidden = (Vec<(usize, usize)>, Option<Within>);

/// A line of `KEY = VALUE`, or of anything else.
fn in_table(line: &str, secret: bool) -> Hidden {
    let Some(equals) = line.find('=') else {
        return (Vec::new(), None);
    };
    let key = line.get(..equals).unwrap_or_default();
    if secret || key.split('.').any(is_secret) {
        return value(line, equals + 1);
    }
    if key.trim() == "url" || key.trim_end().ends_with(".url") {
        return (in_url(line, equals + 1), None);
    }
    // A secret key in an inline table.
    let inner = SECRET.iter().find_map(|name| {
        let at = equals + line.get(equals..)?.find(name)?;
        let after = line.get(at + name.len()..)?;
        let trimmed = after.trim_start_matches(['"', '\'', ' ', '\t']);
        trimmed
            .starts_with(['=', '.'])
            .then(|| at + name.len())
            .and_then(|at| Some(at + line.get(at..)?.find('=')? + 1))
    });
    match inner {
        Some(at) => value(line, at),
        None => (Vec::new(), None),
    }
}

/// A secret value that begins at this byte of the line.
fn value(line: &str, at: usize) -> Hidden {
    let rest = line.get(at..).unwrap_or_default();
    let trimmed = rest.trim_start();
    let start = at + (rest.len() - trimmed.len());
    for delimiter in ["\"\"\"", "'''"] {
        if let Some(content) = trimmed.strip_prefix(delimiter) {
            let next = (!content.contains(delimiter)).then_some(Within::Text(delimiter));
            return (vec![(start + 3, line.len())], next);
        }
    }
    if trimmed.starts_with(['{', '[']) {
        let array = trimmed.starts_with('[');
        return in_brackets(line, start, (0, array, array));
    }
    (vec![(start, line.len())], None)
}

/// The values between brackets: what is after `=`, or in an array everything.
fn in_brackets(line: &str, start: usize, state: (usize, bool, bool)) -> Hidden {
    let (mut depth, array, mut value) = state;
    let mut hidden = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in line.char_indices().skip_while(|(at, _)| *at < start) {
        let end = at + character.len_utf8();
        match (quote, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                if value {
                    hidden.push((at, end));
                }
                continue;
            }
            (Some(open), _) if character == open && !escaped => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => {
                depth += 1;
                value = array || character == '[';
                continue;
            }
            (None, '}' | ']') => {
                depth = depth.saturating_sub(1);
                value = array;
                if depth == 0 {
                    return (hidden, None);
                }
                continue;
            }
            (None, '=') => {
                value = true;
                continue;
            }
            (None, ',') => {
                value = array;
                continue;
            }
            _ => {}
        }
        escaped = false;
        if value {
            hidden.push((at, end));
        }
    }
    (
        hidden,
        Some(Within::Brackets {
            depth,
            array,
            value,
        }),
    )
}

/// The user and the query of a URL.
fn in_url(line: &str, start: usize) -> Vec<(usize, usize)> {
    let mut hidden = Vec::new();
    let rest = line.get(start..).unwrap_or_default();
    let host = rest.find("//").map_or(0, |at| at + 2);
    let path = rest.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    let authority = rest.get(host..path.map_or(rest.len(), |path| host + path));
    if let Some(user) = authority.and_then(|authority| authority.rfind('@')) {
        hidden.push((start + host, start + host + user));
    }
    if let Some(query) = rest.find('?') {
        let end = rest.rfind(['"', '\'']).unwrap_or(rest.len());
        hidden.push((start + query + 1, start + end.max(query + 1)));
    }
    hidden
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
                "headers = { Host = *****, X-Key = ****** } # c\n",
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
                "body = \"\"\"\n********* **\n\"\"\"\nmethod = \"POST\"\n",
            ),
            ("headers = { K = unquoted\n", "headers = { K = ********\n"),
            (
                "url = \"http://me:word@a/p?token=x&y\" # why?\n",
                "url = \"http://*******@a/p?*********\" # why?\n",
            ),
            (
                "body_of = \"x\"\nweight = 'env'\n",
                "body_of = \"x\"\nweight = 'env'\n",
            ),
        ] {
            assert_eq!(masked(text), shown);
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
