//! From CEL's tree to the evaluated tree: numbers become doubles, `source.field` becomes one variable, arithmetic
//! and equality become functions of [`super::functions`].

use super::environment::{CLOCK, METRICS};
use super::functions::{
    ADD, CONSUME, DIFFERS, DIVIDE, EQUALS, ITERATE, MODULO, MULTIPLY, SUBTRACT, as_double,
};
use super::metrics::SELECT;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::CelDouble;

/// The variable for a field of a source.
pub(super) fn variable(source: &str, field: &str) -> String {
    format!("{source}.{field}")
}

/// The variable for the time of evaluation, in seconds.
pub(super) const NOW: &str = "@now";

/// The field behind `age`: when the latest good poll was sent, in seconds. So that only one variable
/// changes with time, `source.age` is evaluated as their difference.
pub(super) const GOOD_SINCE: &str = "@good";

/// `default(place, fallback)`, which is rewritten into a conditional.
pub(super) const DEFAULT: &str = "default";

/// A variable as a person writes it.
pub(super) fn written_variable(variable: &str) -> String {
    variable.replace(GOOD_SINCE, "age")
}

/// An operator's function as a person writes it: `_+_` is `+`.
pub(super) fn written_name(function: &str) -> String {
    match function {
        DIVIDE => "/".to_owned(),
        MODULO => "%".to_owned(),
        ADD => "+".to_owned(),
        SUBTRACT => "-".to_owned(),
        MULTIPLY => "*".to_owned(),
        EQUALS => "==".to_owned(),
        DIFFERS => "!=".to_owned(),
        ITERATE | CONSUME => "loop".to_owned(),
        operators::IN => "in".to_owned(),
        operators::INDEX => "[]".to_owned(),
        // The interpreter's names, in its errors.
        "add" => "+".to_owned(),
        "sub" => "-".to_owned(),
        "mul" => "*".to_owned(),
        name => name.trim_matches(['_', '@']).to_owned(),
    }
}

/// A type's name in CEL's errors, in our words.
pub(super) fn written_type(name: &str) -> &str {
    match name {
        "double" | "int" | "uint" => "a number",
        "string" => "text",
        "bool" => "true or false",
        "list" => "a list",
        "map" => "a map",
        "null_type" => "null",
        other => other,
    }
}

/// Rewrites a checked tree.
pub(super) fn rewrite(tree: IdedExpr) -> IdedExpr {
    walk(tree, Numbers::Doubles, &mut Vec::new())
}

/// How integers are treated.
#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    /// They become doubles.
    Doubles,
    /// They remain: this part is the index of a list or the key of a map.
    Kept,
}

/// `locals` are the variables of the loops around a node, which hide sources of the same name.
fn walk(tree: IdedExpr, numbers: Numbers, locals: &mut Vec<String>) -> IdedExpr {
    let IdedExpr { id, expr } = tree;
    let expr = match expr {
        Expr::Literal(literal) => Expr::Literal(match (literal, numbers) {
            (LiteralValue::Int(int), Numbers::Doubles) => double(as_double(*int.inner())),
            (LiteralValue::UInt(uint), Numbers::Doubles) => {
                // CEL reads `5u`; here it means 5.
                double(as_double(i64::try_from(*uint.inner()).unwrap_or(i64::MAX)))
            }
            (other, _) => other,
        }),
        Expr::Select(mut select) => {
            if let Expr::Ident(source) = &select.operand.expr
                && !select.test
                && !locals.contains(source)
            {
                return match select.field.as_str() {
                    "age" => age_of(id, source),
                    field => named(id, variable(source, field)),
                };
            }
            *select.operand = walk(*select.operand, numbers, locals);
            Expr::Select(select)
        }
        Expr::Call(call) if call.func_name == DEFAULT => {
            return or_default(id, call.args, numbers, locals);
        }
        Expr::Call(call) if metrics_of(&call, locals).is_some() => {
            return selected(id, call, locals);
        }
        Expr::Call(call) => return call_to(id, call, numbers, locals),
        Expr::List(mut list) => {
            let elements = all(list.elements, numbers, locals);
            let kept = elements.into_iter().map(|element| kept(element, locals));
            list.elements = kept.collect();
            Expr::List(list)
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = walk(std::mem::take(&mut entry.key), Numbers::Kept, locals);
                    let value = walk(std::mem::take(&mut entry.value), numbers, locals);
                    entry.value = kept(value, locals);
                }
            }
            Expr::Map(map)
        }
        Expr::Comprehension(mut loops) => {
            let range = walk(loops.iter_range, numbers, locals);
            loops.iter_range = called(range.id, ITERATE, vec![range]);
            loops.accu_init = walk(loops.accu_init, numbers, locals);
            let depth = locals.len();
            locals.push(loops.iter_var.clone());
            locals.push(loops.accu_var.clone());
            locals.extend(loops.iter_var2.clone());
            loops.loop_cond = walk(loops.loop_cond, numbers, locals);
            loops.loop_step = walk(loops.loop_step, numbers, locals);
            loops.result = walk(loops.result, numbers, locals);
            locals.truncate(depth);
            Expr::Comprehension(loops)
        }
        // The checker lets no struct literal through.
        other @ (Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified) => other,
    };
    IdedExpr { id, expr }
}

/// The elements of a new list or map are copied, and inside of a loop once for every element.
fn kept(tree: IdedExpr, locals: &[String]) -> IdedExpr {
    if locals.is_empty() || matches!(tree.expr, Expr::Literal(_)) {
        tree
    } else {
        called(tree.id, CONSUME, vec![tree])
    }
}

fn named(id: u64, variable: String) -> IdedExpr {
    IdedExpr {
        id,
        expr: Expr::Ident(variable),
    }
}

fn called(id: u64, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: None,
            args,
        }),
    }
}

fn age_of(id: u64, source: &str) -> IdedExpr {
    let parts = [NOW.to_owned(), variable(source, GOOD_SINCE)];
    let parts = parts.into_iter().map(|part| named(id, part)).collect();
    called(id, operators::SUBSTRACT, parts)
}

/// The source in `source.metrics(...)`.
pub(super) fn metrics_of<'c>(call: &'c CallExpr, locals: &[String]) -> Option<&'c str> {
    match call.target.as_deref() {
        Some(IdedExpr {
            expr: Expr::Ident(source),
            ..
        }) if call.func_name == METRICS && !locals.contains(source) => Some(source),
        _ => None,
    }
}

/// `source.metrics('a', 'b')` as a call with the scrape first.
fn selected(id: u64, call: CallExpr, locals: &[String]) -> IdedExpr {
    let scrape = metrics_of(&call, locals).map(|source| named(id, variable(source, METRICS)));
    let args = scrape.into_iter().chain(call.args).collect();
    called(id, SELECT, args)
}

/// `default(app.json.a.b, 0)`: 0 if a key of the path is absent or the value is null. A failure of the source
/// remains unknown.
fn or_default(
    id: u64,
    args: Vec<IdedExpr>,
    numbers: Numbers,
    locals: &mut Vec<String>,
) -> IdedExpr {
    let mut args = args.into_iter().map(|part| walk(part, numbers, locals));
    let (Some(place), Some(fallback)) = (args.next(), args.next()) else {
        // The checker lets no other number of arguments through.
        return called(id, DEFAULT, Vec::new());
    };
    let Some(present) = presence(&place) else {
        return place;
    };
    let usable = called(id, operators::LOGICAL_AND, vec![present, not_null(&place)]);
    called(id, operators::CONDITIONAL, vec![usable, place, fallback])
}

/// Whether every key of a path exists; `None` for a value without a path.
fn presence(place: &IdedExpr) -> Option<IdedExpr> {
    let id = place.id;
    let (operand, here) = match &place.expr {
        Expr::Select(select) => {
            let mut test = select.clone();
            test.test = true;
            let here = IdedExpr {
                id,
                expr: Expr::Select(test),
            };
            (&*select.operand, here)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else {
                return None;
            };
            let here = match &index.expr {
                Expr::Literal(LiteralValue::Int(_)) => {
                    let size = called(id, "size", vec![operand.clone()]);
                    called(id, operators::GREATER, vec![size, index.clone()])
                }
                _ => called(id, operators::IN, vec![index.clone(), operand.clone()]),
            };
            (operand, here)
        }
        _ => return None,
    };
    let here = called(id, operators::LOGICAL_AND, vec![not_null(operand), here]);
    Some(match presence(operand) {
        Some(before) => called(id, operators::LOGICAL_AND, vec![before, here]),
        None => here,
    })
}

fn not_null(tree: &IdedExpr) -> IdedExpr {
    let null = IdedExpr {
        id: tree.id,
        expr: Expr::Literal(LiteralValue::Null),
    };
    called(tree.id, operators::NOT_EQUALS, vec![tree.clone(), null])
}

fn all(trees: Vec<IdedExpr>, numbers: Numbers, locals: &mut Vec<String>) -> Vec<IdedExpr> {
    trees
        .into_iter()
        .map(|tree| walk(tree, numbers, locals))
        .collect()
}

fn call_to(id: u64, call: CallExpr, numbers: Numbers, locals: &mut Vec<String>) -> IdedExpr {
    let CallExpr {
        func_name,
        target,
        args,
    } = call;
    let index = func_name == operators::INDEX;
    let target = target.map(|target| Box::new(walk(*target, numbers, locals)));
    let mut args: Vec<IdedExpr> = args
        .into_iter()
        .enumerate()
        .map(|(at, argument)| {
            let numbers = if index && at == 1 {
                Numbers::Kept
            } else {
                numbers
            };
            walk(argument, numbers, locals)
        })
        .collect();
    args.shrink_to_fit();
    // A comparison with the literal null checks whether there is a value, of any type.
    let with_null = args
        .iter()
        .any(|argument| matches!(argument.expr, Expr::Literal(LiteralValue::Null)));
    let (target, args) = if locals.is_empty() || !takes_long(&func_name, &args) {
        (target, args)
    } else {
        let target = target.map(|target| Box::new(called(target.id, CONSUME, vec![*target])));
        let args: Vec<IdedExpr> = args
            .into_iter()
            .map(|argument: IdedExpr| called(argument.id, CONSUME, vec![argument]))
            .collect();
        (target, args)
    };
    let doubled = func_name == "size";
    // The parser's own loops count with integers.
    let generated = args
        .first()
        .is_some_and(|first| matches!(&first.expr, Expr::Ident(name) if name.starts_with('@')));
    let func_name = match (func_name.as_str(), numbers) {
        (operators::DIVIDE, Numbers::Doubles) => DIVIDE.to_owned(),
        (operators::MODULO, Numbers::Doubles) => MODULO.to_owned(),
        (operators::MULTIPLY, Numbers::Doubles) => MULTIPLY.to_owned(),
        (operators::SUBSTRACT, Numbers::Doubles) => SUBTRACT.to_owned(),
        (operators::ADD, Numbers::Doubles) if !generated => ADD.to_owned(),
        (operators::EQUALS, _) if !with_null && !generated => EQUALS.to_owned(),
        (operators::NOT_EQUALS, _) if !with_null && !generated => DIFFERS.to_owned(),
        ("int" | "uint", _) => "@int".to_owned(),
        ("string", _) => "@string".to_owned(),
        _ => func_name,
    };
    let call = IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name,
            target,
            args,
        }),
    };
    if doubled && numbers == Numbers::Doubles {
        return called(id, "double", vec![call]);
    }
    call
}

/// Whether the time of a call inside of a loop may depend on the size of its arguments. That of calls that pick
/// or decide does not, nor does that of the calls by which CEL's own macros collect their results.
fn takes_long(function: &str, args: &[IdedExpr]) -> bool {
    let gathers = args
        .first()
        .is_some_and(|first| matches!(&first.expr, Expr::Ident(name) if name.starts_with('@')));
    let picks = matches!(
        function,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::INDEX
    );
    !picks && !gathers
}

fn double(number: f64) -> LiteralValue {
    LiteralValue::Double(CelDouble::from(number))
}

/// The parts of readings that a rewritten tree reads, each with a label for people: the longest chains of fields
/// and literal keys that start at a source, outside of loops.
pub(super) fn labelled(tree: &IdedExpr) -> Vec<(String, &IdedExpr)> {
    let mut found = Vec::new();
    collect(tree, &mut found);
    found
}

fn collect<'t>(tree: &'t IdedExpr, found: &mut Vec<(String, &'t IdedExpr)>) {
    if let Some(label) = label(tree) {
        if !found.iter().any(|(known, _)| *known == label) {
            found.push((label, tree));
        }
        return;
    }
    match &tree.expr {
        Expr::Call(call) => {
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                collect(part, found);
            }
        }
        Expr::Select(select) => collect(&select.operand, found),
        Expr::List(list) => {
            for element in &list.elements {
                collect(element, found);
            }
        }
        _ => {}
    }
}

/// `app.json['msg-per-second']` is `app.msg-per-second`, `cpu.value` is `cpu`.
fn label(tree: &IdedExpr) -> Option<String> {
    match &tree.expr {
        Expr::Ident(variable) => {
            let (source, field) = variable
                .split_once('.')
                .filter(|(name, _)| *name != CLOCK)?;
            Some(match field {
                "value" | "json" => source.to_owned(),
                field => format!("{source}.{field}"),
            })
        }
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", label(&select.operand)?, select.field))
        }
        Expr::Call(call) if call.func_name == operators::SUBSTRACT => {
            // Only an age is such a difference.
            let [now, since] = call.args.as_slice() else {
                return None;
            };
            let is_now = matches!(&now.expr, Expr::Ident(name) if name == NOW);
            is_now
                .then(|| label(since))?
                .map(|label| written_variable(&label))
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else {
                return None;
            };
            let operand = label(operand)?;
            match &index.expr {
                Expr::Literal(LiteralValue::String(key)) => {
                    Some(format!("{operand}.{}", key.inner()))
                }
                Expr::Literal(LiteralValue::Int(at)) => Some(format!("{operand}[{}]", at.inner())),
                _ => None,
            }
        }
        _ => None,
    }
}
