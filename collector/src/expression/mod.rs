//! The expression language behind one small face: CEL (Common Expression Language) over the readings
//! of sources.
//!
//! An [`Expression`] is compiled once, against the [`Vocabulary`] of sources that the configuration
//! has; it is evaluated in a [`Scope`], which holds what the sources' latest readings gave. Evaluation
//! is pure and gives a value or says why there is none.
//!
//! What differs from plain CEL, so that configurations read as people expect:
//! - every number is a double: integer literals, JSON's numbers, `size()`; so `1890 / 7000` is 0.27 and
//!   nothing fails for mixing types. List indices and map keys keep their integers.
//! - division by zero gives no value instead of infinity; `%` works on numbers.
//! - `headroom`, `linear`, `curve`, `min`, `max`, `mean`, `weighted_mean` and `clamp` are there; `matches`
//!   and `capture` take a literal pattern, compiled once; `default` stands in for a missing key.
//! - loops may go over so many elements and no more, whatever an application sends.
//! - `source.field` is the only use of a source's name, and fields are checked when compiling.

mod check;
mod environment;
mod functions;
mod metrics;
mod patterns;
mod rewrite;
mod scope;
mod spans;
mod suggest;
mod syntax;
pub mod template;

pub use environment::{Environment, Type};
pub use scope::{Scope, Values};
pub(crate) use suggest::closest;
pub use syntax::{MAX_NESTING, MAX_SOURCE};

use cel::common::ast::IdedExpr;
use cel::{ExecutionError, Program, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// How many levels the tree of an expression may have; `1 + 1 + 1` has three.
pub const MAX_DEPTH: usize = 150;

/// The stack that compiling runs on. The parser recurses several functions deep for each level, signs
/// and conditionals included, which no bound on brackets catches; the pages are only reserved.
const COMPILE_STACK: usize = 64 << 20;

/// How deep macros that loop (`all`, `exists`, `map`, `filter`) may nest: each level multiplies the
/// time by the length of a list.
pub const MAX_LOOPS: usize = 2;

/// A mistake in an expression: where, what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes of the expression's text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that can be said.
    pub remedy: Option<String>,
}

impl Fault {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// How an expression uses a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Use {
    /// It looks at what the source gave (`value`, `json`, `text`, ...), and not only at whether and when
    /// it gave something (`ok`, `error`, `age`).
    pub content: bool,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    place: Range<usize>,
    tree: IdedExpr,
    uses: BTreeMap<String, Use>,
    shown: Vec<(String, IdedExpr)>,
    result: Type,
}

/// Two are the same that say the same, wherever they stand.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.uses == other.uses && self.result == other.result
    }
}

/// A value that people read.
#[derive(Clone, Debug, PartialEq)]
pub enum Simple {
    /// True or false.
    Truth(bool),
    /// A finite number.
    Number(f64),
    /// Text of at most 60 characters.
    Text(String),
}

/// Why an expression has no value now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Expression {
    /// Compiles `text`, which is to give a value of type `expected`.
    ///
    /// # Errors
    /// Every mistake that can be found without a reading: syntax, unknown names, fields that the source
    /// does not have, operands and arguments whose known types do not fit, bounds exceeded.
    pub fn compile(
        text: &str,
        expected: Type,
        environment: &Environment,
    ) -> Result<Self, Vec<Fault>> {
        syntax::bounded(text).map_err(|fault| vec![fault])?;
        let compiled = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(COMPILE_STACK)
                .spawn_scoped(scope, || Self::compile_here(text, expected, environment))
                .map(std::thread::ScopedJoinHandle::join)
        });
        let whole = |message: &str| vec![Fault::new(0..text.len(), message)];
        match compiled {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => Err(whole("the parser gives up on this expression")),
            Err(error) => Err(whole(&format!("no thread to compile on: {error}"))),
        }
    }

    fn compile_here(
        text: &str,
        expected: Type,
        environment: &Environment,
    ) -> Result<Self, Vec<Fault>> {
        let program = Program::compile(text).map_err(|errors| syntax::faults(text, &errors))?;
        let info = program.source_info();
        let checked = check::check(text, program.expression(), info, environment);
        let (uses, result) = checked?;
        if !result.may_be(expected) {
            return Err(vec![Fault::new(
                0..text.len(),
                format!("this gives {result}, {expected} is needed"),
            )]);
        }
        let tree = rewrite::rewrite(program.expression().clone());
        let shown = rewrite::shown(&tree);
        Ok(Self {
            text: text.to_owned(),
            place: 0..0,
            tree,
            uses,
            shown,
            result,
        })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same expression, from a literal that stands at these bytes of a file.
    #[must_use]
    pub fn placed(self, place: Range<usize>) -> Self {
        Self { place, ..self }
    }

    /// The bytes of the file with the literal that it was read from.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Why it has no value now, and the part of its text that lacks one; none where it is true, false or a
    /// finite number.
    #[must_use]
    pub fn lacks(&self, scope: &Scope<'_>) -> Option<(Range<usize>, String)> {
        let whole = 0..self.text.len();
        let error = match Value::resolve(&self.tree, scope.context()) {
            Ok(Value::Bool(_)) => return None,
            Ok(Value::Float(number)) if number.is_finite() => return None,
            Ok(Value::Float(_)) => return Some((whole, "gives no finite number".to_owned())),
            Ok(other) => return Some((whole, format!("gives {}", Type::of(&other)))),
            Err(error) => error,
        };
        let resolve = |tree: &IdedExpr| Value::resolve(tree, scope.context());
        let failed =
            spans::smallest(
                &self.tree,
                &|tree| resolve(tree).is_err(),
                &|tree| match resolve(tree) {
                    Ok(Value::Bool(truth)) => Some(truth),
                    _ => None,
                },
            );
        // The rewritten tree has the ids of the one that was written, which alone has places.
        let place = failed.and_then(|failed| {
            let program = Program::compile(&self.text).ok()?;
            let written = spans::find(program.expression(), failed.id)?;
            Some(spans::span(&self.text, program.source_info(), written))
        });
        Some((place.unwrap_or(whole), explain(&error).0))
    }

    /// The sources that it uses, and how.
    #[must_use]
    pub fn uses(&self) -> &BTreeMap<String, Use> {
        &self.uses
    }

    /// The type that its value is known to have.
    #[must_use]
    pub fn result(&self) -> Type {
        self.result
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// Why that is not known now.
    pub fn truth(&self, scope: &Scope) -> Result<bool, Unknown> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(Unknown(format!(
                "gives {}, not true or false",
                Type::of(&other)
            ))),
        }
    }

    /// The number that it gives: always finite.
    ///
    /// # Errors
    /// Why there is none now.
    pub fn number(&self, scope: &Scope) -> Result<f64, Unknown> {
        match self.evaluate(scope)? {
            Value::Float(number) if number.is_finite() => Ok(number),
            Value::Float(_) => Err(Unknown("gives no finite number".to_owned())),
            // Not reached through literals or JSON, which are all doubles by now.
            Value::Int(number) => Ok(functions::as_double(number)),
            other => Err(Unknown(format!("gives {}, not a number", Type::of(&other)))),
        }
    }

    /// The one value that it gives: true or false, a finite number, or text.
    ///
    /// # Errors
    /// Why there is none now, or none of these.
    pub fn simple(&self, scope: &Scope) -> Result<Simple, Unknown> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(Simple::Truth(truth)),
            Value::Float(number) if number.is_finite() => Ok(Simple::Number(number)),
            Value::Int(number) => Ok(Simple::Number(functions::as_double(number))),
            Value::String(text) => Ok(Simple::Text(shorten(&text))),
            other => Err(Unknown(format!("gives {}", Type::of(&other)))),
        }
    }

    /// That value for people, at most 60 characters and no control characters.
    ///
    /// # Errors
    /// As [`Expression::simple`].
    pub fn shown(&self, scope: &Scope) -> Result<String, Unknown> {
        Ok(match self.simple(scope)? {
            Simple::Truth(truth) => truth.to_string(),
            Simple::Number(number) => crate::render::text::number(number),
            Simple::Text(text) => text,
        })
    }

    /// The numbers of readings that it looks at, with names for people: `app.msg-per-second`, 1890.
    pub fn numbers_used<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a str, f64)> {
        self.shown.iter().filter_map(|(label, tree)| {
            match Value::resolve(tree, scope.context()).ok()? {
                Value::Float(number) if number.is_finite() => Some((label.as_str(), number)),
                _ => None,
            }
        })
    }

    /// The values of readings that it looks at, with the same names, for people: numbers, rule_states and texts.
    pub fn values_used<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a str, String)> {
        self.shown.iter().filter_map(|(label, tree)| {
            let value = match Value::resolve(tree, scope.context()).ok()? {
                Value::Bool(truth) => truth.to_string(),
                Value::Float(number) if number.is_finite() => crate::render::text::number(number),
                Value::String(text) => format!("'{}'", shorten(&text)),
                _ => return None,
            };
            Some((label.as_str(), value))
        })
    }

    fn evaluate(&self, scope: &Scope) -> Result<Value, Unknown> {
        Value::resolve(&self.tree, scope.context()).map_err(|error| explain(&error))
    }
}

/// A reason for people, of bounded length, without the values that CEL's own messages print whole.
fn explain(error: &ExecutionError) -> Unknown {
    let reason = match error {
        ExecutionError::NoSuchKey(key) => format!("no key '{}'", shorten(key)),
        ExecutionError::UndeclaredReference(name) => {
            format!(
                "{} has no value now",
                rewrite::written_variable(&shorten(name))
            )
        }
        ExecutionError::NoSuchOverload(overload) => {
            let types: Vec<&str> = overload
                .argument_types()
                .iter()
                .map(|name| rewrite::written_type(name))
                .collect();
            match (
                rewrite::written_name(overload.function()).as_str(),
                types.as_slice(),
            ) {
                (".", [operand, ..]) => format!("{operand} has no fields"),
                (name, types) => format!("{name} does not take {}", types.join(" and ")),
            }
        }
        ExecutionError::FunctionError { function, message } => {
            format!("{}: {}", rewrite::written_name(function), shorten(message))
        }
        ExecutionError::IndexOutOfBounds(_) => "no such element in the list".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => format!(
            "{} does not take {} and {}",
            rewrite::written_name(operator),
            Type::of(left),
            Type::of(right)
        ),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("cannot compare {} and {}", Type::of(left), Type::of(right))
        }
        _ => "the types of its values do not fit".to_owned(),
    };
    Unknown(reason)
}

fn shorten(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
