//! The expression language: CEL (Common Expression Language) over the readings of sources.
//!
//! An [`Expression`] is compiled once, against the [`Environment`] of the configured sources. It is evaluated in
//! a [`Scope`], which has the values of the sources' latest readings. Evaluation is pure; its result is a value,
//! or the reason why the value is unknown.
//!
//! Differences from plain CEL:
//! - Every number is a double: integer literals, JSON numbers, `size()`. So `1890 / 7000` is 0.27. List indices
//!   and map keys keep their integers.
//! - A result within the rounding error of a short decimal is that decimal: `1 - 0.8` is 0.2.
//! - A division by zero is unknown. A comparison of values of different types is unknown.
//! - The functions of [`functions`], [`patterns`] and [`texts`] exist. A pattern is a literal, compiled once.
//! - `default` replaces an absent key and null.
//! - The loops of one evaluation visit a limited number of elements.
//! - `source.field` is the only use of a source's name. Compiling checks the fields.

mod check;
mod clock;
mod environment;
mod functions;
mod metrics;
mod patterns;
mod plain;
mod range;
mod rewrite;
mod scope;
mod spans;
mod suggest;
mod syntax;
pub mod template;
mod texts;

pub use clock::{WallTime, Zone};
pub use environment::{CLOCK, Environment, Type};
pub use scope::{Scope, Values};
pub(crate) use suggest::closest;
pub use syntax::names;
pub use syntax::{MAX_NESTING, MAX_SOURCE};

use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelDouble};
use cel::common::value::CowVal;
use cel::{Context, ExecutionError, Value};
use plain::{Found, Plain};
use spans::Spans;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How many levels the tree of an expression may have; `1 + 1 + 1` has three.
pub const MAX_DEPTH: usize = 150;

/// How deep loops (`all`, `exists`, `map`, `filter`) may nest: each level multiplies the time by the length of
/// a list.
pub const MAX_LOOPS: usize = 2;

/// A mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes of the expression's text.
    pub span: Range<usize>,
    /// The mistake, in one line.
    pub message: String,
    /// The correct form, if it is known.
    pub remedy: Option<String>,
    /// Whether the mistake can result from a source that is itself not readable.
    pub consequence: bool,
}

impl Fault {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            remedy: None,
            consequence: false,
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
    /// It reads more than `ok`, `error` and `age`.
    pub content: bool,
    /// It reads the health of the source: `ok`, `error`, `age`, `exit`, `status` or `exists`.
    pub health: bool,
    /// It reads a field that has no value while the source has failed, such as `value` or `json`.
    pub body: bool,
}

/// The sources and derived numbers that an expression reads, by name, and how.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Uses(Box<[(String, Use)]>);

impl Uses {
    /// Each name with its use, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Use)> {
        self.0.iter().map(|(name, used)| (name, used))
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The use of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Use> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, used)| used)
    }

    /// Whether the expression is constant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A compiled expression. Clones share it.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: Box<str>,
    place: Range<usize>,
    form: Form,
    uses: Uses,
    /// The parts of readings that it reads, each with its label.
    labelled: Box<[(Box<str>, Plain)]>,
    expected: Type,
    result: Type,
}

/// The form of an expression that evaluation reads.
#[derive(Debug)]
enum Form {
    /// Every part of the expression has the form without CEL. The tree takes several times the memory, so it is made again
    /// where it is needed.
    Plain(Plain),
    Tree(Box<IdedExpr>),
}

/// Equality ignores the place in the file.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        one.text == other.text && one.uses == other.uses && one.expected == other.expected
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

/// Why the value of an expression is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Expression {
    /// Compiles `text` for a result of type `expected`.
    ///
    /// # Errors
    /// Every mistake that can be found without a reading: syntax, unknown names, fields that the source
    /// does not have, operands and arguments of a wrong type, exceeded limits.
    pub fn compile(
        text: &str,
        expected: Type,
        environment: &Environment,
    ) -> Result<Self, Vec<Fault>> {
        Self::compile_at(text, 0..0, expected, environment)
    }

    /// [`Expression::compile`], of a text that was read from a literal at these bytes of a file.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub fn compile_at(
        text: &str,
        place: Range<usize>,
        expected: Type,
        environment: &Environment,
    ) -> Result<Self, Vec<Fault>> {
        let parsed = syntax::parse(text).map_err(|fault| vec![fault])?;
        let spans = Spans::find(text, &parsed);
        let (uses, result) = check::check(text, &parsed, &spans, environment)?;
        if !result.may_be(expected) {
            let message = format!("expected {expected}, found {result}");
            let fault = Fault::new(0..text.len(), message);
            return Err(vec![match (expected, result) {
                (Type::Truth, Type::Number) => fault.remedy("compare it, as in app.value > 5"),
                (Type::Number, Type::Truth) => fault.remedy("write CONDITION ? 100 : 10"),
                (Type::Number, Type::Text) => fault.remedy("write double(text)"),
                _ => fault,
            }]);
        }
        let tree = rewrite::rewrite(parsed);
        let labelled = rewrite::labelled(&tree).into_iter();
        let labelled = labelled.filter_map(|(label, part)| Some((label.into(), Plain::of(part)?)));
        Ok(Self(Arc::new(Compiled {
            text: text.into(),
            place,
            labelled: labelled.collect(),
            form: match Plain::of(&tree) {
                Some(plain) => Form::Plain(plain),
                None => Form::Tree(Box::new(tree)),
            },
            uses: Uses(uses.into_iter().collect()),
            expected,
            result,
        })))
    }

    fn plain(&self) -> Option<&Plain> {
        match &self.0.form {
            Form::Plain(plain) => Some(plain),
            Form::Tree(_) => None,
        }
    }

    /// The rewritten tree.
    fn tree(&self) -> Cow<'_, IdedExpr> {
        match &self.0.form {
            // The text was parsed before.
            Form::Plain(_) => Cow::Owned(
                syntax::parse(&self.0.text)
                    .map(rewrite::rewrite)
                    .unwrap_or_default(),
            ),
            Form::Tree(tree) => Cow::Borrowed(tree),
        }
    }

    /// The expression as the operator wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The bytes of the file with the literal of this expression.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.0.place.clone()
    }

    /// Why the value is unknown or has a wrong type, and the part of the text that causes it. None if the value
    /// is right.
    #[must_use]
    pub fn lacks(&self, scope: &Scope<'_>) -> Option<(Range<usize>, String)> {
        let whole = 0..self.0.text.len();
        let tree = self.tree();
        let error = match Value::resolve(&tree, &scope.context()) {
            Ok(Value::Float(number)) if !number.is_finite() => {
                return Some((whole, NOT_FINITE.to_owned()));
            }
            Ok(value) => {
                let found = Type::of(&value);
                let fits = match self.0.expected {
                    Type::Unknown => matches!(found, Type::Truth | Type::Number | Type::Text),
                    expected => found == expected,
                };
                return (!fits).then(|| (whole, self.mismatch(&value).0));
            }
            Err(error) => error,
        };
        let resolve = |tree: &IdedExpr| Value::resolve(tree, &scope.context());
        let failed = spans::smallest(
            &tree,
            &|tree| resolve(tree).is_err(),
            &|tree| match resolve(tree) {
                Ok(Value::Bool(truth)) => Some(truth),
                _ => None,
            },
        );
        // The rewritten tree keeps the ids of the parsed one.
        let place = failed.and_then(|failed| {
            let parsed = syntax::parse(&self.0.text).ok()?;
            Spans::find(&self.0.text, &parsed).get(failed.id)
        });
        Some((place.unwrap_or(whole), explain(&error).0))
    }

    fn mismatch(&self, value: &Value) -> Unknown {
        let expected = match self.0.expected {
            Type::Unknown => "a number or text".to_owned(),
            expected => expected.to_string(),
        };
        Unknown(format!("expected {expected}, found {}", Type::of(value)))
    }

    /// The least and the greatest number that this can be, by the ranges of the fields that it reads; `None` if
    /// that is not known.
    #[must_use]
    pub fn range(&self, environment: &Environment) -> Option<(f64, f64)> {
        range::of(&self.tree(), environment)
    }

    /// The sources and derived numbers that it reads, and how.
    #[must_use]
    pub fn uses(&self) -> &Uses {
        &self.0.uses
    }

    /// How often the fields of `clock` that it reads change; `None` if it reads none.
    #[must_use]
    pub fn clock_period(&self) -> Option<Duration> {
        let uses = self.0.uses.get(CLOCK)?;
        // Only `clock.unix` is marked as health: it changes every second.
        Some(Duration::from_secs(if uses.health { 1 } else { 60 }))
    }

    /// The type of its value, if it is known before there is a reading.
    #[must_use]
    pub fn result(&self) -> Type {
        self.0.result
    }

    /// The value of a condition.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn truth(&self, scope: &Scope) -> Result<bool, Unknown> {
        if let Some(truth) = self.plain().and_then(|plain| plain.truth(scope)) {
            return Ok(truth);
        }
        let (tree, context) = (self.tree(), scope.context());
        let value = resolve(&tree, &context)?;
        match value.downcast_ref::<CelBool>() {
            Some(truth) => Ok(*truth.inner()),
            None => Err(Unknown(format!(
                "expected true or false, found {}",
                Type::of(&owned(&value)?)
            ))),
        }
    }

    /// The number; always finite.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn number(&self, scope: &Scope) -> Result<f64, Unknown> {
        if let Some(number) = self.plain().and_then(|plain| plain.number(scope)) {
            return Ok(number);
        }
        let (tree, context) = (self.tree(), scope.context());
        let value = resolve(&tree, &context)?;
        if let Some(number) = value.downcast_ref::<CelDouble>() {
            let number = *number.inner();
            let finite = number.is_finite().then_some(number);
            return finite.ok_or_else(|| Unknown(NOT_FINITE.to_owned()));
        }
        match owned(&value)? {
            // Not reached through literals or JSON, which are all doubles by now.
            Value::Int(number) => Ok(functions::as_double(number)),
            other => Err(Unknown(format!(
                "expected a number, found {}",
                Type::of(&other)
            ))),
        }
    }

    /// The single value: true or false, a finite number, or text.
    ///
    /// # Errors
    /// Why it is unknown, or a list, a map or null.
    pub fn simple(&self, scope: &Scope) -> Result<Simple, Unknown> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(Simple::Truth(truth)),
            Value::Float(number) if number.is_finite() => Ok(Simple::Number(number)),
            Value::Float(_) => Err(Unknown(NOT_FINITE.to_owned())),
            Value::Int(number) => Ok(Simple::Number(functions::as_double(number))),
            Value::String(text) => Ok(Simple::Text(shorten(&text))),
            other => Err(self.mismatch(&other)),
        }
    }

    /// The same value for people, at most 60 characters and no control characters.
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

    /// The numbers of readings that it reads, with names for people: `app.msg-per-second`, 1890.
    pub fn numbers_used<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a str, f64)> {
        self.0
            .labelled
            .iter()
            .filter_map(|(label, part)| Some((&**label, part.number(scope)?)))
    }

    /// The values of readings that it reads, with the same names, for people: numbers, true or false, texts.
    pub fn values_used<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a str, String)> {
        self.0.labelled.iter().filter_map(|(label, part)| {
            let value = match part.value(scope)? {
                Found::Truth(truth) => truth.to_string(),
                Found::Number(number) => crate::render::text::number(number),
                Found::Text(text) => format!("'{}'", shorten(text)),
            };
            Some((&**label, value))
        })
    }

    fn evaluate(&self, scope: &Scope) -> Result<Value, Unknown> {
        owned(&resolve(&self.tree(), &scope.context())?)
    }
}

/// The value of a tree, which is borrowed from the tree or its variables where it can be.
fn resolve<'e, 'v>(
    tree: &'e IdedExpr,
    context: &'e Context<'_, 'v>,
) -> Result<CowVal<'e, 'v>, Unknown> {
    Value::resolve_val(tree, context).map_err(|error| explain(&error))
}

fn owned(value: &CowVal<'_, '_>) -> Result<Value, Unknown> {
    value.as_ref().try_into().map_err(|error| explain(&error))
}

const NOT_FINITE: &str = "not a finite number";

/// A reason for people, of bounded length, without the values that CEL's own messages print whole.
fn explain(error: &ExecutionError) -> Unknown {
    let reason = match error {
        ExecutionError::NoSuchKey(key) => format!("no key '{}'", shorten(key)),
        ExecutionError::UndeclaredReference(name) => {
            format!(
                "{} is unavailable",
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
                (name, types) => format!("{name} does not accept {}", types.join(" and ")),
            }
        }
        // Operators are functions, too.
        ExecutionError::FunctionError { function, message }
            if message.starts_with("does not accept") =>
        {
            format!("{} {message}", rewrite::written_name(function))
        }
        ExecutionError::FunctionError { function, message } => {
            format!("{}: {}", rewrite::written_name(function), shorten(message))
        }
        ExecutionError::IndexOutOfBounds(_) => "the list has no such element".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => format!(
            "{} does not accept {} and {}",
            rewrite::written_name(operator),
            Type::of(left),
            Type::of(right)
        ),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("cannot compare {} with {}", Type::of(left), Type::of(right))
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
