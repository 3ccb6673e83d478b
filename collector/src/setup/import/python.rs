//! Translates Herald's metrics, such as `r['rate'] * 2`, into the expression language: the part of Python that
//! configurations use. Nothing is evaluated.

mod tokens;

use super::toml_writer::{expression_string, number};
use std::fmt;
use tokens::{Token, tokens, written};

/// The deepest nesting of parentheses and operators.
const MAX_DEPTH: usize = 24;

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 1024;

/// Why a metric has no translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TranslateError {
    /// It is longer than an expression may be.
    TooLong,
    /// Its nesting is too deep.
    TooDeep,
    /// It ends before it is complete.
    Incomplete,
    /// This part has no equivalent.
    Unsupported(String),
    /// This mark is missing.
    Missing(String),
    /// This is not a number.
    InvalidNumber(String),
    /// A string has no closing quote.
    OpenString,
    /// This function takes other arguments.
    Arguments(String),
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("it is too long"),
            Self::TooDeep => f.write_str("its nesting is too deep"),
            Self::Incomplete => f.write_str("it is incomplete"),
            Self::Unsupported(part) => write!(f, "{part} has no equivalent here"),
            Self::Missing(mark) => write!(f, "a {mark} is missing"),
            Self::InvalidNumber(text) => write!(f, "{text} is not a number"),
            Self::OpenString => f.write_str("a string has no closing quote"),
            Self::Arguments(function) => write!(f, "{function} takes other arguments"),
        }
    }
}

/// `python` as an expression, with `document` in the place of Herald's `r`.
///
/// # Errors
/// A part of it has no equivalent.
pub(super) fn translate(python: &str, document: &str) -> Result<String, TranslateError> {
    if python.len() > MAX_LENGTH {
        return Err(TranslateError::TooLong);
    }
    let mut parser = Parser {
        tokens: tokens(python)?,
        at: 0,
        document,
    };
    let (made, _) = parser.choice(0)?;
    match parser.peek() {
        None if made.len() > MAX_LENGTH => Err(TranslateError::TooLong),
        None => Ok(made),
        Some(token) => Err(TranslateError::Unsupported(written(token))),
    }
}

/// A translated part and its precedence: 0 for a choice, 7 for a value.
type Translated = (String, u8);

/// The binary operators by precedence, from the lowest: in Python, and here.
const LEVELS: [&[(&str, &str)]; 5] = [
    &[("or", "||")],
    &[("and", "&&")],
    &[
        ("==", "=="),
        ("!=", "!="),
        ("<=", "<="),
        (">=", ">="),
        ("<", "<"),
        (">", ">"),
        ("in", "in"),
    ],
    &[("+", "+"), ("-", "-")],
    &[("*", "*"), ("/", "/"), ("%", "%")],
];

/// The level of comparisons, which Python chains.
const COMPARISONS: usize = 2;

const UNARY: u8 = 6;
const VALUE: u8 = 7;

struct Parser<'p> {
    tokens: Vec<Token>,
    at: usize,
    document: &'p str,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Takes the next token if it is this word or mark. Returns whether it was.
    fn take_if(&mut self, word: &str) -> bool {
        let is = match self.peek() {
            Some(Token::Name(name)) => name == word,
            Some(Token::Mark(mark)) => *mark == word,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, mark: &str) -> Result<(), TranslateError> {
        if self.take_if(mark) {
            return Ok(());
        }
        match self.peek() {
            Some(token) => Err(TranslateError::Unsupported(written(token))),
            None => Err(TranslateError::Missing(mark.to_owned())),
        }
    }

    /// `a if condition else b`
    fn choice(&mut self, depth: usize) -> Result<Translated, TranslateError> {
        if depth > MAX_DEPTH {
            return Err(TranslateError::TooDeep);
        }
        let then = self.binary(0, depth)?;
        if !self.take_if("if") {
            return Ok(then);
        }
        let condition = self.binary(0, depth)?;
        self.expect("else")?;
        let otherwise = self.choice(depth + 1)?;
        let made = format!(
            "{} ? {} : {}",
            parenthesized(condition, 1),
            parenthesized(then, 1),
            parenthesized(otherwise, 0)
        );
        Ok((made, 0))
    }

    fn binary(&mut self, level: usize, depth: usize) -> Result<Translated, TranslateError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary(depth);
        };
        // In Python, `not` has a lower precedence than comparisons.
        if level == COMPARISONS && self.take_if("not") {
            if depth > MAX_DEPTH {
                return Err(TranslateError::TooDeep);
            }
            let operand = self.binary(level, depth + 1)?;
            return Ok((format!("!{}", parenthesized(operand, VALUE)), UNARY));
        }
        let strength = u8::try_from(level + 1).unwrap_or(UNARY);
        let mut left = self.binary(level + 1, depth)?;
        let mut comparisons = 0;
        while let Some((_, operator)) = operators.iter().find(|(python, _)| self.take_if(python)) {
            comparisons += 1;
            if level == COMPARISONS && comparisons > 1 {
                return Err(TranslateError::Unsupported("a chain of comparisons".into()));
            }
            let right = self.binary(level + 1, depth)?;
            let left_side = parenthesized(left, strength);
            left = (
                format!(
                    "{left_side} {operator} {}",
                    parenthesized(right, strength + 1)
                ),
                strength,
            );
            if left.0.len() > MAX_LENGTH {
                return Err(TranslateError::TooLong);
            }
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Translated, TranslateError> {
        if depth > MAX_DEPTH {
            return Err(TranslateError::TooDeep);
        }
        if self.take_if("-") {
            let operand = self.unary(depth + 1)?;
            return Ok((format!("-{}", parenthesized(operand, VALUE)), UNARY));
        }
        let mut value = self.value(depth)?;
        loop {
            if self.take_if("[") {
                let key = self.choice(depth + 1)?;
                self.expect("]")?;
                value = (format!("{}[{}]", parenthesized(value, VALUE), key.0), VALUE);
            } else if self.take_if(".") {
                value = self.method(value, depth)?;
            } else {
                return Ok(value);
            }
            if value.0.len() > MAX_LENGTH {
                return Err(TranslateError::TooLong);
            }
        }
    }

    /// `.get(key)` and `.get(key, other)`
    fn method(&mut self, of: Translated, depth: usize) -> Result<Translated, TranslateError> {
        let Some(Token::Name(name)) = self.peek().cloned() else {
            return Err(TranslateError::Unsupported("a dot".into()));
        };
        self.at += 1;
        let arguments = match name.as_str() {
            "get" => self.arguments(depth)?,
            _ => return Err(TranslateError::Unsupported(format!(".{name}"))),
        };
        let place = |key: &Translated| format!("{}[{}]", parenthesized(of.clone(), VALUE), key.0);
        match arguments.as_slice() {
            [key] => Ok((place(key), VALUE)),
            [key, other] => Ok((format!("default({}, {})", place(key), other.0), VALUE)),
            _ => Err(TranslateError::Arguments(".get".into())),
        }
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<Translated>, TranslateError> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.take_if(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.choice(depth + 1)?);
        }
        Ok(arguments)
    }

    fn value(&mut self, depth: usize) -> Result<Translated, TranslateError> {
        let Some(token) = self.peek().cloned() else {
            return Err(TranslateError::Incomplete);
        };
        self.at += 1;
        let made = match token {
            Token::Number(value) => number(value),
            Token::Text(text) => expression_string(&text),
            Token::Mark("(") => {
                let (inner, strength) = self.choice(depth + 1)?;
                self.expect(")")?;
                return Ok((inner, strength));
            }
            Token::Name(name) => match name.as_str() {
                "r" => self.document.to_owned(),
                "True" => "true".to_owned(),
                "False" => "false".to_owned(),
                "None" => "null".to_owned(),
                "float" | "int" | "str" | "len" | "min" | "max" | "sum" => {
                    return self.call(&name, depth);
                }
                _ => return Err(TranslateError::Unsupported(name)),
            },
            Token::Mark(mark) => return Err(TranslateError::Unsupported(mark.to_owned())),
        };
        Ok((made, VALUE))
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Translated, TranslateError> {
        let arguments = self.arguments(depth)?;
        let here = match (name, arguments.len()) {
            ("float" | "int", 1) => "double",
            ("str", 1) => "string",
            ("len", 1) => "size",
            ("min" | "max", 1..) => name,
            ("sum", 1) => "sum",
            _ => return Err(TranslateError::Arguments(name.to_owned())),
        };
        // The value of a source is a number already.
        if here == "double"
            && let [(argument, _)] = arguments.as_slice()
            && *argument == self.document
            && self.document.ends_with(".value")
        {
            return Ok((argument.clone(), VALUE));
        }
        let arguments: Vec<String> = arguments.into_iter().map(|(made, _)| made).collect();
        Ok((format!("{here}({})", arguments.join(", ")), VALUE))
    }
}

/// A part, in parentheses if its precedence is below `least`.
fn parenthesized((made, strength): Translated, least: u8) -> String {
    if strength < least {
        format!("({made})")
    } else {
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_translated() {
        for (python, here) in [
            ("r", "app.json"),
            ("r['msg-rate'] * 2", "app.json['msg-rate'] * 2"),
            ("r[\"a\"][0]['b']", "app.json['a'][0]['b']"),
            ("r['it\\'s']", "app.json['it\\'s']"),
            (
                "(r['a'] + r['b']) / 2.5",
                "(app.json['a'] + app.json['b']) / 2.5",
            ),
            (
                "r['a'] - (r['b'] - 1)",
                "app.json['a'] - (app.json['b'] - 1)",
            ),
            ("-r['a'] % 10", "-app.json['a'] % 10"),
            ("float(r['a'])", "double(app.json['a'])"),
            (
                "r.get('a', 0) + r.get('b')",
                "default(app.json['a'], 0) + app.json['b']",
            ),
            (
                "max(r['a'], r['b'], 1e3)",
                "max(app.json['a'], app.json['b'], 1000)",
            ),
            (
                "sum(r['loads']) / len(r['loads'])",
                "sum(app.json['loads']) / size(app.json['loads'])",
            ),
            (
                "1 if r['a'] > 3 and not r['b'] else 0",
                "app.json['a'] > 3 && !app.json['b'] ? 1 : 0",
            ),
            ("not r['a'] == 1", "!(app.json['a'] == 1)"),
            ("'a' in r or True", "'a' in app.json || true"),
            ("(1 if r else 2) * 3", "(app.json ? 1 : 2) * 3"),
        ] {
            assert_eq!(
                translate(python, "app.json"),
                Ok(here.to_owned()),
                "{python}"
            );
        }
        assert_eq!(
            translate("float(r) * 2", "app.value"),
            Ok("app.value * 2".to_owned())
        );
    }

    #[test]
    fn unsupported_python_is_an_error() {
        let deep = "(".repeat(300);
        let long = "r + ".repeat(1000);
        let signs = "-".repeat(300);
        for (python, wrong) in [
            ("", "it is incomplete"),
            ("r['a'] ** 2", "** has no equivalent here"),
            ("r['a'] // 2", "// has no equivalent here"),
            (
                "__import__('os').system('id')",
                "__import__ has no equivalent here",
            ),
            ("r.keys()", ".keys has no equivalent here"),
            ("[x for x in r]", "[ has no equivalent here"),
            (
                "1 < r['a'] < 3",
                "a chain of comparisons has no equivalent here",
            ),
            ("r['a", "a string has no closing quote"),
            (
                "r['a\\x41']",
                "an escape in a string has no equivalent here",
            ),
            ("0x10", "0x10 is not a number"),
            ("1e999", "1e999 is not a number"),
            ("r; 1", "';' has no equivalent here"),
            ("r r", "r has no equivalent here"),
            ("min()", "min takes other arguments"),
            (&deep, "its nesting is too deep"),
            (&signs, "its nesting is too deep"),
            (&long, "it is too long"),
        ] {
            assert_eq!(
                translate(python, "app.json").map_err(|error| error.to_string()),
                Err(wrong.to_owned()),
                "{python}"
            );
        }
    }
}
