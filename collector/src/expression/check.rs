//! What can be known to be wrong before there is a reading: unknown names, fields that a source does not
//! have, operands and arguments whose known types do not fit.

use super::functions::{ListArgument, NUMERIC};
use super::nearest::closest;
use super::patterns;
use super::places::span;
use super::rewrite::written_name;
use super::rewrite::{DEFAULT, metrics_of};
use super::vocabulary::METRICS;
use super::vocabulary::{Type, Vocabulary};
use super::{Fault, MAX_DEPTH, MAX_LOOPS, Use};
use crate::prometheus::Selector;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
    operators,
};
use std::collections::BTreeMap;

/// Fields that say whether and when a source gave something, not what.
const ABOUT_POLLING: [&str; 3] = ["ok", "error", "age"];

/// How deep `default` may nest in the place that it looks for: that place is asked for twice, first
/// whether it is there, so each level doubles the whole. As a fallback it may nest as it likes.
const MAX_DEFAULTS: usize = 4;

type Checked = (BTreeMap<String, Use>, Type);

pub(super) fn check(
    text: &str,
    tree: &IdedExpr,
    info: &SourceInfo,
    vocabulary: &Vocabulary,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        text,
        info,
        vocabulary,
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
    vocabulary: &'a Vocabulary,
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
        if let Some(fields) = self.vocabulary.sources.get(name) {
            let known = fields.as_deref().unwrap_or_default();
            let best = known.last().map_or("ok", |(field, _)| *field);
            return self.fault(
                tree,
                format!("{name} is a source, not a value"),
                Some(format!("say what of it, as in {name}.{best}")),
            );
        }
        let remedy = match closest(name, self.vocabulary.sources.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None if self.vocabulary.sources.is_empty() => "no source is configured".to_owned(),
            None => format!(
                "the sources are {}",
                listed(self.vocabulary.sources.keys().map(String::as_str))
            ),
        };
        self.fault(tree, format!("there is no source {name}"), Some(remedy))
    }

    fn field(&mut self, tree: &IdedExpr, select: &SelectExpr) -> Type {
        if let Expr::Ident(source) = &select.operand.expr
            && !self.locals.contains(source)
            && let Some(fields) = self.vocabulary.sources.get(source)
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

    /// `source.metrics('selector', ...)`
    fn metrics(&mut self, tree: &IdedExpr, source: &str, call: &CallExpr) -> Type {
        let Some(fields) = self.vocabulary.sources.get(source) else {
            return self.name(call.target.as_deref().unwrap_or(tree), source);
        };
        let known = fields.as_deref();
        if known.is_some() && !known_metrics(known) {
            let message = format!("the source {source} has no {METRICS}");
            let remedy = "it has metrics with format = \"prometheus\"".to_owned();
            return self.fault(tree, message, Some(remedy));
        }
        self.uses.entry(source.to_owned()).or_default().content = true;
        if call.args.is_empty() {
            let usage = format!("{source}.metrics('name{{label=\"x\"}}')");
            self.fault(tree, "metrics takes a selector".into(), Some(usage));
        }
        for selector in &call.args {
            let Expr::Literal(LiteralValue::String(text)) = &selector.expr else {
                self.fault(selector, "metrics takes literal selectors".into(), None);
                continue;
            };
            if let Err(wrong) = Selector::parse(text.inner()) {
                self.fault(selector, wrong, None);
            }
        }
        Type::List
    }

    fn call(&mut self, tree: &IdedExpr, call: &CallExpr) -> Type {
        use Type::{List, Map, Number, Text, Truth, Unknown};
        if let Some(source) = metrics_of(call, &self.locals) {
            return self.metrics(tree, source, call);
        }
        let target = call.target.as_deref().map(|target| self.type_of(target));
        let default = call.func_name == DEFAULT;
        let types: Vec<Type> = call
            .args
            .iter()
            .enumerate()
            .map(|(at, part)| {
                let doubled = usize::from(default && at == 0);
                self.defaults += doubled;
                let kind = self.type_of(part);
                self.defaults -= doubled;
                kind
            })
            .collect();
        if default && self.defaults == MAX_DEFAULTS {
            let message = format!("default nests deeper than {MAX_DEFAULTS}");
            let remedy = Some("one default goes for a whole path: default(app.json.a.b, 0)".into());
            return self.fault(tree, message, remedy);
        }
        match (call.func_name.as_str(), target, types.as_slice()) {
            (operators::CONDITIONAL, None, [condition, yes, no]) => {
                self.fits(tree, *condition, &[Truth], "?:");
                yes.join(*no)
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, None, [left, right]) => {
                for (part, kind) in call.args.iter().zip([left, right]) {
                    self.fits(part, *kind, &[Truth], &written_name(&call.func_name));
                }
                Truth
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, None, [operand]) => {
                self.fits(tree, *operand, &[Truth], "!");
                Truth
            }
            (operators::NEGATE, None, [operand]) => {
                self.fits(tree, *operand, &[Number], "-");
                Number
            }
            (operators::EQUALS | operators::NOT_EQUALS, None, [left, right]) => {
                // Comparing with null asks whether there is anything.
                let null = [left, right].contains(&&Type::Null);
                if !left.may_be(*right) && !null {
                    let message = format!("{left} is never equal to {right}");
                    self.fault(tree, message, None);
                }
                Truth
            }
            (
                name @ (operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS),
                None,
                [left, right],
            ) => {
                self.pair(tree, *left, *right, &[Number, Text], name);
                Truth
            }
            (operators::ADD, None, [left, right]) => {
                self.pair(tree, *left, *right, &[Number, Text, List], operators::ADD)
            }
            (
                name @ (operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO),
                None,
                [left, right],
            ) => {
                self.pair(tree, *left, *right, &[Number], name);
                Number
            }
            (operators::IN, None, [_, range]) => {
                self.fits(tree, *range, &[List, Map], "in");
                Truth
            }
            (operators::INDEX, None, [operand, _]) => {
                self.fits(tree, *operand, &[List, Map], "[]");
                Unknown
            }
            ("size", Some(_), []) | ("size", None, [_]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                self.fits(tree, kind, &[Text, List, Map], "size");
                Number
            }
            ("contains" | "startsWith" | "endsWith", Some(target), [argument]) => {
                self.fits(tree, target, &[Text], &call.func_name);
                self.fits(tree, *argument, &[Text], &call.func_name);
                Truth
            }
            (name @ ("matches" | "capture"), Some(_), [_])
            | (name @ ("matches" | "capture"), None, [_, _]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                self.fits(tree, kind, &[Text], name);
                if let Some(pattern) = call.args.last() {
                    self.pattern(pattern, name);
                }
                if name == "matches" { Truth } else { Map }
            }
            (DEFAULT, None, [place, fallback]) => {
                if let Some(first) = call.args.first() {
                    self.place(first);
                }
                place.join(*fallback)
            }
            ("double" | "int" | "uint", None, [_]) => Number,
            ("string", None, [_]) => Text,
            ("bool", None, [_]) => Truth,
            ("dyn", None, [_]) => Unknown,
            (name, _, _) => self.function(tree, name, target, call, &types),
        }
    }

    /// A call that is none of CEL's own in its right form.
    fn function(
        &mut self,
        tree: &IdedExpr,
        name: &str,
        target: Option<Type>,
        call: &CallExpr,
        types: &[Type],
    ) -> Type {
        const CEL_USAGE: [(&str, &str); 14] = [
            (METRICS, "app.metrics('name{label=\"x\"}')"),
            ("capture", "text.capture('(?P<name>[0-9]+)').name"),
            (DEFAULT, "default(app.json.key, 0)"),
            ("size", "size(list)"),
            ("contains", "text.contains('part')"),
            ("startsWith", "text.startsWith('part')"),
            ("endsWith", "text.endsWith('part')"),
            ("matches", "text.matches('pattern')"),
            ("double", "double(text)"),
            ("string", "string(number)"),
            ("has", "has(app.json.key)"),
            ("all", "list.all(element, condition)"),
            ("exists", "list.exists(element, condition)"),
            ("map", "list.map(element, expression)"),
        ];
        let Some(known) = NUMERIC.iter().find(|known| known.name == name) else {
            if let Some((_, usage)) = CEL_USAGE.iter().find(|(known, _)| *known == name) {
                return self.fault(
                    tree,
                    format!("{name} is called otherwise"),
                    Some((*usage).into()),
                );
            }
            let names = NUMERIC.iter().map(|known| known.name);
            let names = names.chain(CEL_USAGE.iter().map(|(name, _)| *name));
            let remedy = closest(name, names).map(|meant| format!("did you mean {meant}?"));
            return self.fault(
                tree,
                format!("there is no function {}", written_name(name)),
                remedy,
            );
        };
        let count = types.len();
        if target.is_some() || count < known.least || count > known.most {
            return self.fault(
                tree,
                format!("{name} is called otherwise"),
                Some(known.usage.into()),
            );
        }
        let last = count - 1;
        for (at, (part, kind)) in call.args.iter().zip(types).enumerate() {
            let taken: &[Type] = match known.list {
                ListArgument::Alone if count == 1 => &[Type::Number, Type::List],
                ListArgument::Last if at == last => &[Type::List],
                _ => &[Type::Number],
            };
            self.fits(part, *kind, taken, name);
        }
        Type::Number
    }

    /// Something that may not be there: a key of a document.
    fn place(&mut self, tree: &IdedExpr) {
        let within = |operand: &IdedExpr| !matches!(operand.expr, Expr::Ident(_));
        let fits = match &tree.expr {
            Expr::Select(select) => !select.test && within(&select.operand),
            Expr::Call(call) => call.func_name == operators::INDEX,
            _ => false,
        };
        if !fits {
            let message = "default takes a key of a document first".to_owned();
            self.fault(tree, message, Some("default(app.json.key, 0)".into()));
        }
    }

    fn pattern(&mut self, tree: &IdedExpr, function: &str) {
        let Expr::Literal(LiteralValue::String(pattern)) = &tree.expr else {
            self.fault(tree, format!("{function} takes a literal pattern"), None);
            return;
        };
        if let Err(message) = patterns::compile(pattern.inner()) {
            self.fault(tree, format!("pattern: {message}"), None);
        }
    }

    fn fits(&mut self, tree: &IdedExpr, kind: Type, taken: &[Type], what: &str) {
        if !taken.iter().any(|taken| kind.may_be(*taken)) {
            let wanted: Vec<String> = taken.iter().map(ToString::to_string).collect();
            let message = format!("{what} takes {}, this is {kind}", wanted.join(" or "));
            self.fault(tree, message, None);
        }
    }

    /// Two operands that must be of one type out of `taken`.
    fn pair(
        &mut self,
        tree: &IdedExpr,
        left: Type,
        right: Type,
        taken: &[Type],
        what: &str,
    ) -> Type {
        let fits = |kind: Type| taken.iter().any(|taken| kind.may_be(*taken));
        if fits(left) && fits(right) && left.may_be(right) {
            return if left == Type::Unknown { right } else { left };
        }
        let message = format!("{} does not take {left} and {right}", written_name(what));
        let remedy = (left == Type::Text || right == Type::Text)
            .then(|| "double(text) reads text as a number".to_owned());
        self.fault(tree, message, remedy)
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
