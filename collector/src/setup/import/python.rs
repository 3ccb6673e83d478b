//! Herald's metrics into the expression language: `r['rate'] * 2`, the part of Python that configurations
//! use. Nothing is evaluated.

mod tokens;

use super::toml_writer::{expression_string, number};
use tokens::{Token, tokens, written};

/// How deep parentheses and the like may nest.
const MAX_DEPTH: usize = 24;

/// As long as an expression may be.
const MAX_LENGTH: usize = 1024;

/// `python` over `document`, the expression that stands for Herald's `r`.
///
/// # Errors
/// What in it has no equivalent.
pub(super) fn translate(python: &str, document: &str) -> Result<String, String> {
    if python.len() > MAX_LENGTH {
        return Err("it is too long".to_owned());
    }
    let mut parser = Parser {
        tokens: tokens(python)?,
        at: 0,
        document,
    };
    let (made, _) = parser.choice(0)?;
    match parser.peek() {
        None if made.len() > MAX_LENGTH => Err("it is too long".to_owned()),
        None => Ok(made),
        Some(token) => Err(format!("{} has no equivalent here", written(token))),
    }
}

/// How tightly a piece of expression holds together: 0 a choice, 7 a value.
type Made = (String, u8);

/// The levels of operators with two sides, from the loosest; each as Python writes it and as it is here.
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

/// That of comparisons, which Python chains.
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

    /// Whether the next token is this word or mark; it is taken if so.
    fn took(&mut self, word: &str) -> bool {
        let is = match self.peek() {
            Some(Token::Name(name)) => name == word,
            Some(Token::Mark(mark)) => *mark == word,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.took(mark) {
            return Ok(());
        }
        match self.peek() {
            Some(token) => Err(format!("{} has no equivalent here", written(token))),
            None => Err(format!("a {mark} is missing")),
        }
    }

    /// `a if condition else b`
    fn choice(&mut self, depth: usize) -> Result<Made, String> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        let then = self.binary(0, depth)?;
        if !self.took("if") {
            return Ok(then);
        }
        let condition = self.binary(0, depth)?;
        self.expect("else")?;
        let otherwise = self.choice(depth + 1)?;
        let made = format!(
            "{} ? {} : {}",
            held(condition, 1),
            held(then, 1),
            held(otherwise, 0)
        );
        Ok((made, 0))
    }

    fn binary(&mut self, level: usize, depth: usize) -> Result<Made, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary(depth);
        };
        // Python's `not` is looser than its comparisons.
        if level == COMPARISONS && self.took("not") {
            if depth > MAX_DEPTH {
                return Err("it is nested too deep".to_owned());
            }
            let operand = self.binary(level, depth + 1)?;
            return Ok((format!("!{}", held(operand, VALUE)), UNARY));
        }
        let strength = u8::try_from(level + 1).unwrap_or(UNARY);
        let mut left = self.binary(level + 1, depth)?;
        let mut comparisons = 0;
        while let Some((_, operator)) = operators.iter().find(|(python, _)| self.took(python)) {
            comparisons += 1;
            if level == COMPARISONS && comparisons > 1 {
                return Err("a chain of comparisons has no equivalent here".to_owned());
            }
            let right = self.binary(level + 1, depth)?;
            let left_side = held(left, strength);
            left = (
                format!("{left_side} {operator} {}", held(right, strength + 1)),
                strength,
            );
            if left.0.len() > MAX_LENGTH {
                return Err("it is too long".to_owned());
            }
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Made, String> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deep".to_owned());
        }
        if self.took("-") {
            let operand = self.unary(depth + 1)?;
            return Ok((format!("-{}", held(operand, VALUE)), UNARY));
        }
        let mut value = self.value(depth)?;
        loop {
            if self.took("[") {
                let key = self.choice(depth + 1)?;
                self.expect("]")?;
                value = (format!("{}[{}]", held(value, VALUE), key.0), VALUE);
            } else if self.took(".") {
                value = self.method(value, depth)?;
            } else {
                return Ok(value);
            }
            if value.0.len() > MAX_LENGTH {
                return Err("it is too long".to_owned());
            }
        }
    }

    /// `.get(key)` and `.get(key, other)`
    fn method(&mut self, of: Made, depth: usize) -> Result<Made, String> {
        let Some(Token::Name(name)) = self.peek().cloned() else {
            return Err("a dot has no equivalent here".to_owned());
        };
        self.at += 1;
        let arguments = match name.as_str() {
            "get" => self.arguments(depth)?,
            _ => return Err(format!(".{name} has no equivalent here")),
        };
        let place = |key: &Made| format!("{}[{}]", held(of.clone(), VALUE), key.0);
        match arguments.as_slice() {
            [key] => Ok((place(key), VALUE)),
            [key, other] => Ok((format!("default({}, {})", place(key), other.0), VALUE)),
            _ => Err(".get has a key, and perhaps another value".to_owned()),
        }
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<Made>, String> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.took(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.choice(depth + 1)?);
        }
        Ok(arguments)
    }

    fn value(&mut self, depth: usize) -> Result<Made, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("it ends too early".to_owned());
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
                _ => return Err(format!("{name} has no equivalent here")),
            },
            Token::Mark(mark) => return Err(format!("{mark} has no equivalent here")),
        };
        Ok((made, VALUE))
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Made, String> {
        let arguments = self.arguments(depth)?;
        let here = match (name, arguments.len()) {
            ("float" | "int", 1) => "double",
            ("str", 1) => "string",
            ("len", 1) => "size",
            ("min" | "max", 1..) => name,
            ("sum", 1) => "sum",
            _ => return Err(format!("{name} is called otherwise here")),
        };
        // What is a number already is one.
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

/// A piece in parentheses where it holds together less tightly than its place needs.
fn held((made, strength): Made, least: u8) -> String {
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
    fn metrics() {
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
                translate(python, "app.json").as_deref(),
                Ok(here),
                "{python}"
            );
        }
        assert_eq!(
            translate("float(r) * 2", "app.value").as_deref(),
            Ok("app.value * 2")
        );
    }

    #[test]
    fn what_has_no_equivalent() {
        let deep = "(".repeat(300);
        let long = "r + ".repeat(1000);
        let signs = "-".repeat(300);
        for (python, wrong) in [
            ("", "it ends too early"),
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
            ("r['a", "a text has no end"),
            ("r['a\\x41']", "an escape in a text has no equivalent here"),
            ("0x10", "0x10 is no number here"),
            ("1e999", "1e999 is no number here"),
            ("r; 1", "';' has no equivalent here"),
            ("r r", "r has no equivalent here"),
            ("min()", "min is called otherwise here"),
            (&deep, "it is nested too deep"),
            (&signs, "it is nested too deep"),
            (&long, "it is too long"),
        ] {
            assert_eq!(
                translate(python, "app.json"),
                Err(wrong.to_owned()),
                "{python}"
            );
        }
    }
}
