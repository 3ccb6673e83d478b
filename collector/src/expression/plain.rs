//! Expressions of numbers, truths and texts, evaluated without memory of their own.
//!
//! CEL's interpreter finds each function by its name, and makes lists of arguments and boxes of results. Most
//! expressions of a configuration are a few operators over numbers of readings. [`Plain`] is their other form.
//! It never decides about an error: it has no value where a part is absent, is no number, truth or text, or is not
//! finite. Then CEL evaluates the expression, and finds the reason.
//!
//! Not here: loops, lists, maps, and the functions on them and on texts.

use super::functions::{
    ADD, DIFFERS, DIVIDE, EQUALS, MODULO, MULTIPLY, OnNumbers, SUBTRACT, on_numbers,
};
use super::scope::{Field, Scope};
use crate::filters::rounding;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelString};

/// The largest number of arguments of a function here.
const MOST_ARGUMENTS: usize = 8;

/// A rewritten tree of which every part is here.
#[derive(Clone, Debug)]
pub(super) enum Plain {
    Number(f64),
    Truth(bool),
    Text(Box<str>),
    /// A variable, and the keys that lead from it to a part of it.
    Part(Box<str>, Box<[Step]>),
    Arithmetic(fn(f64, f64) -> f64, Box<[Plain; 2]>),
    /// A division or its remainder; there is none by 0.
    Division(fn(f64, f64) -> f64, Box<[Plain; 2]>),
    Comparison(fn(&f64, &f64) -> bool, Box<[Plain; 2]>),
    /// Whether two values of the same type are equal, or whether they differ.
    Equality(bool, Box<[Plain; 2]>),
    /// The first part decides if it has this value, otherwise the second.
    Junction(bool, Box<[Plain; 2]>),
    Not(Box<Plain>),
    Negative(Box<Plain>),
    Choice(Box<[Plain; 3]>),
    Function(OnNumbers, Box<[Plain]>),
}

/// A key of a map, or the index of a list.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(CelMapKey<'static>),
    Index(usize),
}

/// A value. Numbers are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found<'s> {
    Number(f64),
    Truth(bool),
    Text(&'s str),
}

impl Plain {
    /// The other form of a rewritten tree; `None` if a part of it has none.
    pub(super) fn of(tree: &IdedExpr) -> Option<Self> {
        Some(match &tree.expr {
            Expr::Literal(LiteralValue::Double(number)) => Self::Number(*number.inner()),
            Expr::Literal(LiteralValue::Boolean(truth)) => Self::Truth(*truth.inner()),
            Expr::Literal(LiteralValue::String(text)) => Self::Text(text.inner().into()),
            Expr::Ident(_) | Expr::Select(_) => part_of(tree)?,
            Expr::Call(call) if call.target.is_none() => Self::of_call(tree, call)?,
            _ => return None,
        })
    }

    fn of_call(tree: &IdedExpr, call: &CallExpr) -> Option<Self> {
        let name = call.func_name.as_str();
        if name == operators::INDEX {
            return part_of(tree);
        }
        let arguments = call.args.iter().map(Self::of);
        let arguments: Box<[Self]> = arguments.collect::<Option<Vec<_>>>()?.into();
        if let Some(function) = on_numbers(name) {
            let fits = arguments.len() <= MOST_ARGUMENTS;
            return fits.then_some(Self::Function(function, arguments));
        }
        let arguments = match <Box<[Self; 1]>>::try_from(arguments) {
            Ok(one) => {
                let [one] = *one;
                return match name {
                    operators::LOGICAL_NOT => Some(Self::Not(Box::new(one))),
                    operators::NEGATE => Some(Self::Negative(Box::new(one))),
                    _ => None,
                };
            }
            Err(arguments) => arguments,
        };
        let two = match <Box<[Self; 2]>>::try_from(arguments) {
            Ok(two) => two,
            Err(arguments) => {
                let three = <Box<[Self; 3]>>::try_from(arguments).ok()?;
                return (name == operators::CONDITIONAL).then_some(Self::Choice(three));
            }
        };
        Some(match name {
            ADD => Self::Arithmetic(rounding::add, two),
            SUBTRACT => Self::Arithmetic(rounding::subtract, two),
            MULTIPLY => Self::Arithmetic(rounding::multiply, two),
            // Of an age, which is not rounded.
            operators::SUBSTRACT => Self::Arithmetic(|now, since| now - since, two),
            DIVIDE => Self::Division(rounding::divide, two),
            MODULO => Self::Division(|number, divisor| number % divisor, two),
            operators::LESS => Self::Comparison(f64::lt, two),
            operators::LESS_EQUALS => Self::Comparison(f64::le, two),
            operators::GREATER => Self::Comparison(f64::gt, two),
            operators::GREATER_EQUALS => Self::Comparison(f64::ge, two),
            EQUALS => Self::Equality(true, two),
            DIFFERS => Self::Equality(false, two),
            operators::LOGICAL_AND => Self::Junction(false, two),
            operators::LOGICAL_OR => Self::Junction(true, two),
            _ => return None,
        })
    }

    /// The value; `None` if CEL has to evaluate the tree.
    pub(super) fn value<'s>(&'s self, scope: &'s Scope<'_>) -> Option<Found<'s>> {
        Some(match self {
            Self::Number(number) => Found::Number(*number),
            Self::Truth(truth) => Found::Truth(*truth),
            Self::Text(text) => Found::Text(text),
            Self::Part(variable, steps) => return part(scope.variable(variable)?, steps),
            Self::Arithmetic(operation, two) => {
                let [left, right] = numbers(two, scope)?;
                return finite(operation(left, right));
            }
            Self::Division(operation, two) => {
                let [number, divisor] = numbers(two, scope)?;
                return finite(operation(number, divisor)).filter(|_| divisor != 0.0);
            }
            Self::Comparison(compare, two) => {
                let [left, right] = numbers(two, scope)?;
                Found::Truth(compare(&left, &right))
            }
            Self::Equality(wanted, two) => {
                let [left, right] = &**two;
                let equal = match (left.value(scope)?, right.value(scope)?) {
                    (Found::Number(left), Found::Number(right)) => left == right,
                    (Found::Truth(left), Found::Truth(right)) => left == right,
                    (Found::Text(left), Found::Text(right)) => left == right,
                    _ => return None,
                };
                Found::Truth(equal == *wanted)
            }
            Self::Junction(decides, two) => {
                let [left, right] = &**two;
                let truth = match left.truth(scope)? {
                    left if left == *decides => left,
                    _ => right.truth(scope)?,
                };
                Found::Truth(truth)
            }
            Self::Not(one) => Found::Truth(!one.truth(scope)?),
            Self::Negative(one) => Found::Number(-one.number(scope)?),
            Self::Choice(three) => {
                let [condition, yes, no] = &**three;
                let chosen = if condition.truth(scope)? { yes } else { no };
                return chosen.value(scope);
            }
            Self::Function(function, arguments) => {
                let mut numbers = [0.0; MOST_ARGUMENTS];
                for (number, argument) in numbers.iter_mut().zip(arguments) {
                    *number = argument.number(scope)?;
                }
                return finite(function(numbers.get(..arguments.len())?).ok()?);
            }
        })
    }

    /// The number, if there is a value and it is one.
    pub(super) fn number(&self, scope: &Scope<'_>) -> Option<f64> {
        match self.value(scope)? {
            Found::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The truth, if there is a value and it is one.
    pub(super) fn truth(&self, scope: &Scope<'_>) -> Option<bool> {
        match self.value(scope)? {
            Found::Truth(truth) => Some(truth),
            _ => None,
        }
    }
}

fn numbers(two: &[Plain; 2], scope: &Scope<'_>) -> Option<[f64; 2]> {
    let [left, right] = two;
    Some([left.number(scope)?, right.number(scope)?])
}

fn finite<'s>(number: f64) -> Option<Found<'s>> {
    number.is_finite().then_some(Found::Number(number))
}

/// A variable of a reading, or a part of it by literal keys.
fn part_of(tree: &IdedExpr) -> Option<Plain> {
    let mut steps = Vec::new();
    let mut at = tree;
    let variable = loop {
        at = match &at.expr {
            Expr::Ident(name) => break name,
            Expr::Select(select) if !select.test => {
                steps.push(Step::Key(select.field.clone().into()));
                &select.operand
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, index] = call.args.as_slice() else {
                    return None;
                };
                steps.push(match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => {
                        Step::Key(key.inner().to_owned().into())
                    }
                    Expr::Literal(LiteralValue::Int(index)) => {
                        Step::Index(usize::try_from(*index.inner()).ok()?)
                    }
                    _ => return None,
                });
                operand
            }
            _ => return None,
        };
    };
    steps.reverse();
    Some(Plain::Part(variable.as_str().into(), steps.into()))
}

fn part<'s>(variable: Field<'s>, steps: &[Step]) -> Option<Found<'s>> {
    let mut value = match variable {
        Field::Document(document) => document,
        _ if !steps.is_empty() => return None,
        Field::Truth(truth) => return Some(Found::Truth(truth)),
        Field::Number(number) => return finite(number),
        Field::Text(text) => return Some(Found::Text(text)),
    };
    for step in steps {
        let next = match step {
            Step::Key(key) => value.downcast_ref::<CelMap<'_>>()?.inner().get(key)?,
            Step::Index(index) => value.downcast_ref::<CelList<'_>>()?.inner().get(*index)?,
        };
        value = &**next;
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return finite(*number.inner());
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Some(Found::Truth(*truth.inner()));
    }
    let text = value.downcast_ref::<CelString<'_>>()?;
    Some(Found::Text(text.inner()))
}
