//! The least and the greatest number that an expression can be, by the known ranges of the fields that it reads:
//! `1 - cpu.value / 100` is between 0 and 1.

use super::environment::Environment;
use super::functions::{ADD, DIVIDE, MULTIPLY, SUBTRACT};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

type Range = (f64, f64);

/// The range of a rewritten tree; `None` if it is not known.
pub(super) fn of(tree: &IdedExpr, environment: &Environment) -> Option<Range> {
    match &tree.expr {
        Expr::Literal(LiteralValue::Double(number)) => Some((*number.inner(), *number.inner())),
        Expr::Ident(variable) => environment.ranges.get(variable).copied(),
        Expr::Call(call) => of_call(call, environment),
        _ => None,
    }
}

fn of_call(call: &CallExpr, environment: &Environment) -> Option<Range> {
    let ranges = || -> Option<Vec<Range>> {
        let parts = match call.args.as_slice() {
            [only] => match &only.expr {
                Expr::List(list) => &list.elements,
                _ => &call.args,
            },
            _ => &call.args,
        };
        parts.iter().map(|part| of(part, environment)).collect()
    };
    let pair = || match ranges()?.as_slice() {
        [left, right] => Some((*left, *right)),
        _ => None,
    };
    let hull = |points: &[f64]| {
        let least = points.iter().copied().fold(f64::INFINITY, f64::min);
        let most = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least.is_finite() && most.is_finite()).then_some((least, most))
    };
    let products = |(a, b): Range, (c, d): Range| hull(&[a * c, a * d, b * c, b * d]);
    match call.func_name.as_str() {
        "headroom" => Some((0.0, 100.0)),
        ADD => pair().map(|((a, b), (c, d))| (a + c, b + d)),
        SUBTRACT => pair().map(|((a, b), (c, d))| (a - d, b - c)),
        MULTIPLY => pair().and_then(|(left, right)| products(left, right)),
        DIVIDE => pair().and_then(|(left, (c, d))| {
            (c > 0.0 || d < 0.0).then(|| products(left, (1.0 / d, 1.0 / c)))?
        }),
        operators::NEGATE => ranges()?.first().map(|(a, b)| (-b, -a)),
        operators::CONDITIONAL => {
            let [_, yes, no] = call.args.as_slice() else {
                return None;
            };
            let (a, b) = of(yes, environment)?;
            let (c, d) = of(no, environment)?;
            Some((a.min(c), b.max(d)))
        }
        "min" => {
            let ranges = ranges()?;
            let least: Vec<f64> = ranges.iter().map(|range| range.0).collect();
            let most: Vec<f64> = ranges.iter().map(|range| range.1).collect();
            Some((hull(&least)?.0, hull(&most)?.0))
        }
        "max" => {
            let ranges = ranges()?;
            let least: Vec<f64> = ranges.iter().map(|range| range.0).collect();
            let most: Vec<f64> = ranges.iter().map(|range| range.1).collect();
            Some((hull(&least)?.1, hull(&most)?.1))
        }
        "mean" => {
            let ranges = ranges()?;
            let points: Vec<f64> = ranges.iter().flat_map(|range| [range.0, range.1]).collect();
            hull(&points)
        }
        "clamp" => match ranges()?.as_slice() {
            [_, least, most] => Some((least.0, most.1)),
            _ => None,
        },
        _ => None,
    }
}
