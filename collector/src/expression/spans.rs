//! Where the parts of an expression stand in its text.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo, operators};
use std::ops::Range;

/// The bytes from the first to the last node of a tree: CEL knows an operator by the place of its sign
/// alone, and a field by its dot.
pub(super) fn span(text: &str, info: &SourceInfo, tree: &IdedExpr) -> Range<usize> {
    let mut found = own_span(text, info, tree.id);
    let mut widen = |part: &IdedExpr| {
        let part = span(text, info, part);
        if part.is_empty() {
            return;
        }
        found = match &found {
            found if found.is_empty() => part,
            found => found.start.min(part.start)..found.end.max(part.end),
        };
    };
    match &tree.expr {
        Expr::Call(call) => {
            call.target
                .as_deref()
                .into_iter()
                .chain(&call.args)
                .for_each(&mut widen);
        }
        Expr::Select(select) => widen(&select.operand),
        _ => {}
    }
    // CEL gives the place of a field's dot and of a call's bracket, not of their names.
    let before = text.get(..found.start).unwrap_or_default();
    let after = text.get(found.end..).unwrap_or_default();
    match &tree.expr {
        Expr::Select(select) if after.starts_with(&select.field) => {
            found.end += select.field.len();
        }
        Expr::Call(call) if before.ends_with(&call.func_name) => {
            found.start -= call.func_name.len();
            found.end += usize::from(after.starts_with(')'));
        }
        _ => {}
    }
    found
}

fn own_span(text: &str, info: &SourceInfo, id: u64) -> Range<usize> {
    let (start, stop) = info.offset_for(id).unwrap_or((0, 0));
    let start = usize::try_from(start).unwrap_or(0).min(text.len());
    // The end is inclusive.
    let end = usize::try_from(stop).map_or(0, |stop| stop + 1);
    let mut end = end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// The parts of a tree that are evaluated with the same variables as itself: not the body of a loop.
pub(super) fn parts(tree: &IdedExpr) -> Vec<&IdedExpr> {
    match &tree.expr {
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map
            .entries
            .iter()
            .filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(&entry.value),
                EntryExpr::StructField(_) => None,
            })
            .collect(),
        Expr::Comprehension(loops) => vec![&loops.iter_range],
        _ => Vec::new(),
    }
}

/// The node with this id.
pub(super) fn find(tree: &IdedExpr, id: u64) -> Option<&IdedExpr> {
    if tree.id == id {
        return Some(tree);
    }
    parts(tree).into_iter().find_map(|part| find(part, id))
}

/// The smallest part of a tree that `fails`, where the tree itself does. Of a conditional only the branch
/// that is taken counts, as `holds` says of its condition.
pub(super) fn smallest<'t>(
    tree: &'t IdedExpr,
    fails: &dyn Fn(&IdedExpr) -> bool,
    holds: &dyn Fn(&IdedExpr) -> Option<bool>,
) -> Option<&'t IdedExpr> {
    if !fails(tree) {
        return None;
    }
    let mut within = parts(tree);
    if let Expr::Call(call) = &tree.expr
        && call.func_name == operators::CONDITIONAL
        && let [condition, yes, no] = call.args.as_slice()
    {
        within = match holds(condition) {
            Some(true) => vec![yes],
            Some(false) => vec![no],
            None => vec![condition],
        };
    }
    let smaller = within
        .into_iter()
        .find_map(|part| smallest(part, fails, holds));
    Some(smaller.unwrap_or(tree))
}
