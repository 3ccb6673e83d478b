//! Mistakes that need no reading to be found: unknown names, fields that a source does not have, operands and
//! arguments of a wrong type.

mod calls;

use super::environment::{CLOCK, CLOCK_FIELDS, Environment, METRICS, Type};
use super::spans::Spans;
use super::suggest::closest;
use super::{Fault, MAX_DEPTH, MAX_LOOPS, Use};
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr};
use std::collections::BTreeMap;

/// Fields that are known whether or not the latest poll was a success.
const ABOUT_POLLING: [&str; 3] = ["ok", "error", "age"];

/// Fields that show the health of a source.
const HEALTH: [&str; 6] = ["ok", "error", "age", "exit", "status", "exists"];

/// Fields that can have a value while the source has failed, besides those of its health.
const SURVIVING: [&str; 3] = ["latency", "text", "mtime_age"];

type Checked = (BTreeMap<String, Use>, Type);

pub(super) fn check(
    text: &str,
    tree: &IdedExpr,
    spans: &Spans,
    environment: &Environment,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        text,
        spans,
        environment,
        locals: Vec::new(),
        loops: 0,
        defaults: 0,
        faults: Vec::new(),
        uses: BTreeMap::new(),
    };
    if depth_of(tree) > MAX_DEPTH {
        let message = format!("the expression has more than {MAX_DEPTH} levels");
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
    spans: &'a Spans,
    environment: &'a Environment,
    /// Variables of the loops around the current node.
    locals: Vec<String>,
    loops: usize,
    /// How many `default` have the current node in their first argument.
    defaults: usize,
    faults: Vec<Fault>,
    uses: BTreeMap<String, Use>,
}

impl Checker<'_> {
    fn fault(&mut self, tree: &IdedExpr, message: String, remedy: Option<String>) -> Type {
        let mut span = self.spans.of(tree);
        if span.is_empty() {
            span = 0..self.text.len();
        }
        let mut fault = Fault::new(span, message);
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
                LiteralValue::Bytes(_) => self.fault(tree, "bytes are not supported".into(), None),
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
                self.fault(tree, "structures are not supported".into(), None)
            }
        }
    }

    fn name(&mut self, tree: &IdedExpr, name: &str) -> Type {
        if self.locals.iter().any(|local| local == name) {
            return Type::Unknown;
        }
        let names = self.environment.sources.keys().map(String::as_str);
        if let Some(fields) = self.environment.sources.get(name) {
            let known = fields.as_deref().unwrap_or_default();
            let best = known.last().map_or("ok", |(field, _)| *field);
            return self.fault(
                tree,
                format!("{name:?} is a source, not a value"),
                Some(format!("name a field, as in {name}.{best}")),
            );
        }
        if let Some(fault) = self.hyphenated(tree) {
            self.faults.push(fault);
            return Type::Unknown;
        }
        let known = match self.environment.sources.len() {
            0 => "no source is defined".to_owned(),
            _ => format!("the sources are {}", listed(names.clone())),
        };
        let (message, remedy) = match closest(name, names) {
            Some(meant) => {
                let message = format!("unknown source {name:?}; did you mean {meant:?}?");
                (message, None)
            }
            None => (format!("unknown source {name:?}"), Some(known)),
        };
        let result = self.fault(tree, message, remedy);
        if let Some(fault) = self.faults.last_mut() {
            fault.consequence = true;
        }
        result
    }

    /// `app.json.msg-per-second`: the parser reads it as a difference.
    fn hyphenated(&self, tree: &IdedExpr) -> Option<Fault> {
        let span = self.spans.of(tree);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = self.text.get(..span.start)?.strip_suffix('-')?;
        let start = before
            .rfind(|c: char| !word(c) && c != '.' && c != '-')
            .map_or(0, |at| at + 1);
        let chain = before.get(start..)?;
        let after = self.text.get(span.end..)?;
        let end = after
            .find(|c: char| !word(c) && c != '-')
            .unwrap_or(after.len());
        let (path, key) = chain.rsplit_once('.')?;
        if path.is_empty() || key.is_empty() {
            return None;
        }
        let key = self.text.get(start + path.len() + 1..span.end + end)?;
        let fault = Fault::new(
            start..span.end + end,
            format!("the key {key:?} has a hyphen"),
        );
        Some(fault.remedy(format!(
            "write {path}['{key}']; a difference has spaces around -"
        )))
    }

    fn field(&mut self, tree: &IdedExpr, select: &SelectExpr) -> Type {
        if let Expr::Ident(source) = &select.operand.expr
            && !self.locals.contains(source)
            && source == CLOCK
            && !self.environment.sources.contains_key(CLOCK)
        {
            return self.clock(tree, &select.field);
        }
        if let Expr::Ident(source) = &select.operand.expr
            && !self.locals.contains(source)
            && let Some(fields) = self.environment.sources.get(source)
        {
            if select.field == METRICS && known_metrics(fields.as_deref()) {
                let usage = format!("{source}.metrics('name{{label=\"x\"}}')");
                let message = "metrics needs a selector".to_owned();
                return self.fault(tree, message, Some(usage));
            }
            if select.test {
                return self.fault(
                    tree,
                    format!(
                        "has() needs a key of a document, not a field of the source {source:?}"
                    ),
                    Some(format!("{source}.ok is true after a successful poll")),
                );
            }
            let Some(fields) = fields else {
                self.uses.entry(source.clone()).or_default();
                return Type::Unknown;
            };
            let known = fields.iter().find(|(field, _)| *field == select.field);
            let Some((field, kind)) = known else {
                let names = fields.iter().map(|(field, _)| *field);
                // Only these kinds of sources have a format.
                let format = ["status", "exit", "exists"]
                    .iter()
                    .any(|kind| names.clone().any(|name| name == *kind));
                let format = match select.field.as_str() {
                    _ if !format => None,
                    "json" => Some("json"),
                    "value" => Some("number"),
                    "metrics" => Some("prometheus"),
                    "text" => Some("text"),
                    _ => None,
                };
                let field = &select.field;
                let has = format!("its fields are {}", listed(names.clone()));
                let unknown = format!("unknown field {field:?} of the source {source:?}");
                let (message, remedy) = match (format, closest(field, names)) {
                    (Some(format), _) => (
                        unknown,
                        format!("add format = \"{format}\" to the source; {has}"),
                    ),
                    (None, Some(meant)) => (format!("{unknown}; did you mean {meant:?}?"), has),
                    (None, None) => (unknown, has),
                };
                return self.fault(tree, message, Some(remedy));
            };
            let used = self.uses.entry(source.clone()).or_default();
            used.content |= !ABOUT_POLLING.contains(field);
            used.health |= HEALTH.contains(field);
            used.body |= !HEALTH.contains(field) && !SURVIVING.contains(field);
            return *kind;
        }
        let operand = self.type_of(&select.operand);
        if select.test {
            return Type::Truth;
        }
        if !operand.may_be(Type::Map) {
            let message = format!("{operand} has no field {:?}", select.field);
            return self.fault(tree, message, None);
        }
        Type::Unknown
    }

    /// `clock.hour` and its other fields.
    fn clock(&mut self, tree: &IdedExpr, field: &str) -> Type {
        if !CLOCK_FIELDS.contains(&field) {
            let fields = listed(CLOCK_FIELDS.into_iter());
            let remedy = Some(format!("its fields are {fields}"));
            return self.fault(tree, format!("unknown field {field:?} of clock"), remedy);
        }
        let used = self.uses.entry(CLOCK.to_owned()).or_default();
        used.content = true;
        used.health |= field == "unix";
        Type::Number
    }

    fn loops(&mut self, tree: &IdedExpr, loops: &ComprehensionExpr) -> Type {
        let range = self.type_of(&loops.iter_range);
        if !range.may_be(Type::List) && !range.may_be(Type::Map) {
            return self.fault(&loops.iter_range, format!("{range} is not a list"), None);
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

/// Whether these are the fields of a source with `format = "prometheus"`.
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
