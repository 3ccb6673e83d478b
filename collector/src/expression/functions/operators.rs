//! The operators on doubles, texts and lists, which replace CEL's own.

use super::super::environment::Type;
use super::{Result, fail, limited};
use crate::filters::rounding;
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, Value};
use std::sync::Arc;

/// `a + b` for doubles, texts and lists.
pub(in super::super) const ADD: &str = "@add";
/// `a - b` for doubles.
pub(in super::super) const SUBTRACT: &str = "@subtract";
/// `a * b` for doubles.
pub(in super::super) const MULTIPLY: &str = "@multiply";
/// `a / b` for doubles; a division by 0 is unknown.
pub(in super::super) const DIVIDE: &str = "@divide";
/// `a % b` for doubles.
pub(in super::super) const MODULO: &str = "@modulo";
/// `a == b` for values of the same type.
pub(in super::super) const EQUALS: &str = "@equals";
/// `a != b` for values of the same type.
pub(in super::super) const DIFFERS: &str = "@differs";

/// Puts the operators into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>) {
    for (name, operation) in [
        (SUBTRACT, rounding::subtract as fn(f64, f64) -> f64),
        (MULTIPLY, rounding::multiply),
    ] {
        let _ = context.add_function(name, move |Arguments(arguments): Arguments| -> Result {
            let [left, right] = operands(name, &arguments)?;
            Ok(Value::Float(operation(left, right)))
        });
    }
    let _ = context.add_function(ADD, add);
    let _ = context.add_function(DIVIDE, divide);
    let _ = context.add_function(MODULO, modulo);
    let _ = context.add_function(EQUALS, |Arguments(arguments): Arguments| {
        equal(&arguments).map(Value::Bool)
    });
    let _ = context.add_function(DIFFERS, |Arguments(arguments): Arguments| {
        equal(&arguments).map(|equal| Value::Bool(!equal))
    });
}

/// The operands of an operator. They may be infinite: only the result of an expression has to be finite.
fn operands(operator: &str, arguments: &[Value]) -> Result<[f64; 2]> {
    match arguments {
        [Value::Float(left), Value::Float(right)] => Ok([*left, *right]),
        [left, right] => fail(
            operator,
            &format!("does not accept {} and {}", Type::of(left), Type::of(right)),
        ),
        _ => Err(ExecutionError::invalid_argument_count(2, arguments.len())),
    }
}

fn add(Arguments(arguments): Arguments) -> Result {
    match arguments.as_slice() {
        [Value::String(left), Value::String(right)] => limited(ADD, format!("{left}{right}")),
        [Value::List(left), Value::List(right)] => {
            let all = left.iter().chain(right.iter()).cloned();
            Ok(Value::List(Arc::new(all.collect())))
        }
        other => operands(ADD, other).map(|[left, right]| Value::Float(rounding::add(left, right))),
    }
}

/// Whether two values of the same type are equal.
fn equal(arguments: &[Value]) -> Result<bool> {
    let [left, right] = arguments else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    match (Type::of(left), Type::of(right)) {
        (one, other) if one == other => Ok(left == right),
        _ => Err(ExecutionError::ValuesNotComparable(
            left.clone(),
            right.clone(),
        )),
    }
}

fn divide(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = operands(DIVIDE, &arguments)?;
    if divisor == 0.0 {
        return fail(DIVIDE, "division by zero");
    }
    Ok(Value::Float(rounding::divide(number, divisor)))
}

fn modulo(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = operands(MODULO, &arguments)?;
    if divisor == 0.0 {
        return fail(MODULO, "division by zero");
    }
    Ok(Value::Float(number % divisor))
}
