//! What can be known to be wrong before there is a reading: unknown names, fields that a source does not
//! have, operands and arguments whose known types do not fit.

mod calls;

use super::environment::{Environment, METRICS, Type};
use super::spans::span;
use super::suggest::closest;
use super::{Fault, MAX_DEPTH, MAX_LOOPS, Use};
use cel::common::ast::{
    ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
};
use std::collections::BTreeMap;

/// Fields that say whether and when a source gave something, not what.
const ABOUT_POLLING: [&str; 3] = ["ok", "error", "age"];

type Checked = (BTreeMap<String, Use>, Type);

pub(super) fn check(
    text: &str,
    tree: &IdedExpr,
    info: &SourceInfo,
    environment: &Environment,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        text,
        info,
        environment,
        locals: Vec::new(),
        loops: 0,
        defaults: 0,
        faults: Vec::new(),
        uses: BTreeMap::new(),
    };
    if depth_of(tree) > MAX_DEPTH {
        let message = format!("the expression nests deeper than {MAX_DEPTH}");
        return Err(vec![Fault::new(0..text.len(), message)]);
    }
    let result = checker.type_of(tree);
    if checker.faults.is_empty() {
        Ok((checker.uses, result))
    } else {
        checker.faults.sort_by_key(|fault| fault.span.start);
        checker.faults.dedup();
        Err(checker.faults)
    }
}

struct Checker<'a> {
    text: &'a str,
    info: &'a SourceInfo,
    environment: &'a Environment,
    /// Variables of the loops around this place.
    locals: Vec<String>,
    loops: usize,
    /// How many `default` have this place in what they look for.
    defaults: usize,
    faults: Vec<Fault>,
    uses: BTreeMap<String, Use>,
}

impl Checker<'_> {
    fn fault(&mut self, tree: &IdedExpr, message: String, remedy: Option<String>) -> Type {
        let mut fault = Fault::new(span(self.text, self.info, tree), message);
        if let Some(remedy) = remedy {
            fault = fault.remedy(remedy);
        }
        self.faults.push(fault);
        Type::Unknown
    }

    fn type_of(&mut self, tree: &IdedExpr) -> Type {
        match &tree.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Truth,
                LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => {
                    Type::Number
                }
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Null => Type::Null,
                LiteralValue::Bytes(_) => self.fault(tree, "bytes are of no use here".into(), None),
            },
            Expr::Ident(name) => self.name(tree, name),
            Expr::Select(select) => self.field(tree, select),
            Expr::Call(call) => self.call(tree, call),
            Expr::List(list) => {
                for element in &list.elements {
                    self.type_of(element);
                }
                Type::List
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.type_of(&entry.key);
                        self.type_of(&entry.value);
                    }
                }
                Type::Map
            }
            Expr::Comprehension(loops) => self.loops(tree, loops),
            Expr::Struct(_) | Expr::Unspecified => {
                self.fault(tree, "structures are of no use here".into(), None)
            }
        }
    }

    fn name(&mut self, tree: &IdedExpr, name: &str) -> Type {
        if self.locals.iter().any(|local| local == name) {
            return Type::Unknown;
        }
        if let Some(fields) = self.environment.sources.get(name) {
            let known = fields.as_deref().unwrap_or_default();
            let best = known.last().map_or("ok", |(field, _)| *field);
            return self.fault(
                tree,
                format!("{name} is a source, not a value"),
                Some(format!("say what of it, as in {name}.{best}")),
            );
        }
        let remedy = match closest(name, self.environment.sources.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None if self.environment.sources.is_empty() => "no source is configured".to_owned(),
            None => format!(
                "the sources are {}",
                listed(self.environment.sources.keys().map(String::as_str))
            ),
        };
        self.fault(tree, format!("there is no source {name}"), Some(remedy))
    }

    fn field(&mut self, tree: &IdedExpr, select: &SelectExpr) -> Type {
        if let Expr::Ident(source) = &select.operand.expr
            && !self.locals.contains(source)
            && let Some(fields) = self.environment.sources.get(source)
        {
            if select.field == METRICS && known_metrics(fields.as_deref()) {
                let usage = format!("{source}.metrics('name{{label=\"x\"}}')");
                let message = "metrics is called with a selector".to_owned();
                return self.fault(tree, message, Some(usage));
            }
            if select.test {
                return self.fault(
                    tree,
                    format!("has() does not look at the source {source} itself"),
                    Some(format!("{source}.ok says whether it gave anything")),
                );
            }
            let Some(fields) = fields else {
                return Type::Unknown;
            };
            let known = fields.iter().find(|(field, _)| *field == select.field);
            let Some((field, kind)) = known else {
                let names = fields.iter().map(|(field, _)| *field);
                let remedy = match select.field.as_str() {
                    "json" => format!(
                        "it has json with format = \"json\"; now it has {}",
                        listed(names)
                    ),
                    "value" => format!(
                        "it has value with format = \"number\"; now it has {}",
                        listed(names)
                    ),
                    wrong => match closest(wrong, names.clone()) {
                        Some(meant) => format!("did you mean {source}.{meant}?"),
                        None => format!("it has {}", listed(names)),
                    },
                };
                let message = format!("the source {source} has no {}", select.field);
                return self.fault(tree, message, Some(remedy));
            };
            let used = self.uses.entry(source.clone()).or_default();
            used.content |= !ABOUT_POLLING.contains(field);
            return *kind;
        }
        let operand = self.type_of(&select.operand);
        if select.test {
            return Type::Truth;
        }
        if !operand.may_be(Type::Map) {
            let message = format!("{operand} has no fields, so no {}", select.field);
            return self.fault(tree, message, None);
        }
        Type::Unknown
    }

    fn loops(&mut self, tree: &IdedExpr, loops: &ComprehensionExpr) -> Type {
        let range = self.type_of(&loops.iter_range);
        if !range.may_be(Type::List) && !range.may_be(Type::Map) {
            return self.fault(&loops.iter_range, format!("{range} has no elements"), None);
        }
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            let message = format!("loops (all, exists, map, filter) nest deeper than {MAX_LOOPS}");
            self.fault(tree, message, None);
        }
        let initial = self.type_of(&loops.accu_init);
        let depth = self.locals.len();
        self.locals.push(loops.iter_var.clone());
        self.locals.push(loops.accu_var.clone());
        self.locals.extend(loops.iter_var2.clone());
        self.type_of(&loops.loop_cond);
        self.type_of(&loops.loop_step);
        self.type_of(&loops.result);
        self.locals.truncate(depth);
        self.loops -= 1;
        match initial {
            // exists_one counts, and then compares.
            Type::Number => Type::Truth,
            known => known,
        }
    }
}

/// Whether these are the fields of a source that gives a scrape.
fn known_metrics(fields: Option<&[(&str, Type)]>) -> bool {
    fields.is_some_and(|fields| fields.iter().any(|(field, _)| *field == METRICS))
}

/// The number of levels of a tree.
fn depth_of(tree: &IdedExpr) -> usize {
    let deepest = |trees: &mut dyn Iterator<Item = &IdedExpr>| trees.map(depth_of).max();
    let below = match &tree.expr {
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::Select(select) => Some(depth_of(&select.operand)),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => deepest(&mut map.entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            EntryExpr::StructField(field) => vec![&field.value],
        })),
        Expr::Comprehension(loops) => deepest(
            &mut [
                &loops.iter_range,
                &loops.accu_init,
                &loops.loop_cond,
                &loops.loop_step,
                &loops.result,
            ]
            .into_iter(),
        ),
        _ => None,
    };
    1 + below.unwrap_or(0)
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
