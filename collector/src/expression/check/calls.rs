//! Calls and operators: whether they exist, and whether they accept operands and arguments of these types.

use super::super::environment::{METRICS, Type};
use super::super::functions::{ListArgument, NUMERIC};
use super::super::patterns;
use super::super::rewrite::{DEFAULT, metrics_of, written_name};
use super::super::suggest::closest;
use super::{Checker, known_metrics};
use crate::reading::prometheus::Selector;
use crate::render::text::counted;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

/// How deep `default` may nest in its first argument: evaluation resolves that argument up to five times, so each
/// level multiplies the work. The second argument has no such limit.
const MAX_DEFAULTS: usize = 3;

impl Checker<'_> {
    /// `source.metrics('selector', ...)`
    fn metrics(&mut self, tree: &IdedExpr, source: &str, call: &CallExpr) -> Type {
        let Some(fields) = self.environment.sources.get(source) else {
            return self.name(call.target.as_deref().unwrap_or(tree), source);
        };
        let known = fields.as_deref();
        if known.is_some() && !known_metrics(known) {
            let message = format!("unknown field {METRICS:?} of the source {source:?}");
            let remedy = "add format = \"prometheus\" to the source".to_owned();
            return self.fault(tree, message, Some(remedy));
        }
        let used = self.uses.entry(source.to_owned()).or_default();
        (used.content, used.body) = (true, true);
        if call.args.is_empty() {
            let usage = format!("{source}.metrics('name{{label=\"x\"}}')");
            self.fault(tree, "metrics needs a selector".into(), Some(usage));
        }
        for selector in &call.args {
            let Expr::Literal(LiteralValue::String(text)) = &selector.expr else {
                self.fault(selector, "metrics needs a selector in quotes".into(), None);
                continue;
            };
            if let Err(wrong) = Selector::parse(text.inner()) {
                self.fault(selector, wrong, None);
            }
        }
        Type::List
    }

    pub(super) fn call(&mut self, tree: &IdedExpr, call: &CallExpr) -> Type {
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
            let message = format!("default is nested deeper than {MAX_DEFAULTS}");
            let remedy = Some("one default covers a whole path: default(app.json.a.b, 0)".into());
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
                    let message = format!("cannot compare {left} with {right}");
                    self.fault(tree, message, conversion(*left, *right));
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
            ("trim" | "lower" | "upper", Some(_), []) | ("trim" | "lower" | "upper", None, [_]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                self.fits(tree, kind, &[Text], &call.func_name);
                Text
            }
            ("split", Some(_), [separator]) | ("split", None, [_, separator]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                self.fits(tree, kind, &[Text], "split");
                self.fits(tree, *separator, &[Text], "split");
                List
            }
            ("join", Some(_), [separator]) | ("join", None, [_, separator]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                self.fits(tree, kind, &[List], "join");
                self.fits(tree, *separator, &[Text], "join");
                Text
            }
            ("replace", Some(_), [from, to]) | ("replace", None, [_, from, to]) => {
                let kind = target.or(types.first().copied()).unwrap_or(Unknown);
                for kind in [kind, *from, *to] {
                    self.fits(tree, kind, &[Text], "replace");
                }
                Text
            }
            (name @ ("double" | "int" | "uint"), None, [kind]) => {
                self.fits(tree, *kind, &[Number, Text], name);
                Number
            }
            ("string", None, [kind]) => {
                self.fits(tree, *kind, &[Number, Text, Truth], "string");
                Text
            }
            ("bool", None, [_]) => Truth,
            ("dyn", None, [_]) => Unknown,
            (name, _, _) => self.function(tree, name, target, call, &types),
        }
    }

    /// A call that is not one of CEL's own in its correct form.
    fn function(
        &mut self,
        tree: &IdedExpr,
        name: &str,
        target: Option<Type>,
        call: &CallExpr,
        types: &[Type],
    ) -> Type {
        const CEL_USAGE: [(&str, &str); 22] = [
            (METRICS, "app.metrics('name{label=\"x\"}')"),
            ("capture", "text.capture('(?P<name>[0-9]+)').name"),
            (DEFAULT, "default(app.json.key, 0)"),
            ("size", "size(list)"),
            ("contains", "text.contains('part')"),
            ("startsWith", "text.startsWith('part')"),
            ("endsWith", "text.endsWith('part')"),
            ("matches", "text.matches('pattern')"),
            ("double", "double(text)"),
            ("int", "int(text)"),
            ("string", "string(number)"),
            ("trim", "text.trim()"),
            ("lower", "text.lower()"),
            ("upper", "text.upper()"),
            ("split", "text.split(',')"),
            ("join", "list.join(', ')"),
            ("replace", "text.replace('from', 'to')"),
            ("filter", "list.filter(element, condition)"),
            ("has", "has(app.json.key)"),
            ("all", "list.all(element, condition)"),
            ("exists", "list.exists(element, condition)"),
            ("map", "list.map(element, expression)"),
        ];
        let Some(known) = NUMERIC.iter().find(|known| known.name == name) else {
            if let Some((_, usage)) = CEL_USAGE.iter().find(|(known, _)| *known == name) {
                let message = format!("wrong arguments of {name}");
                return self.fault(tree, message, Some(format!("write {usage}")));
            }
            let names = NUMERIC.iter().map(|known| known.name);
            let names = names.chain(CEL_USAGE.iter().map(|(name, _)| *name));
            let name = written_name(name);
            let unknown = format!("unknown function {name:?}");
            let (message, remedy) = match closest(&name, names.clone()) {
                Some(meant) => (format!("{unknown}; did you mean {meant:?}?"), None),
                None => (
                    unknown,
                    Some(format!("the functions are {}", super::listed(names))),
                ),
            };
            return self.fault(tree, message, remedy);
        };
        let count = types.len();
        if target.is_some() || count < known.least || count > known.most {
            let message = match known.least == known.most {
                true => {
                    let arguments = counted(known.least, "argument");
                    format!("{name} takes {arguments}, found {count}: {}", known.usage)
                }
                false => format!("wrong arguments of {name}: {}", known.usage),
            };
            return self.fault(tree, message, None);
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

    /// The first argument of `default`: a key of a document, which can be absent.
    fn place(&mut self, tree: &IdedExpr) {
        let within = |operand: &IdedExpr| !matches!(operand.expr, Expr::Ident(_));
        let fits = match &tree.expr {
            Expr::Select(select) => !select.test && within(&select.operand),
            Expr::Call(call) => call.func_name == operators::INDEX,
            _ => false,
        };
        if !fits {
            let message = "default needs a key of a document first".to_owned();
            self.fault(tree, message, Some("write default(app.json.key, 0)".into()));
        }
    }

    fn pattern(&mut self, tree: &IdedExpr, function: &str) {
        let Expr::Literal(LiteralValue::String(pattern)) = &tree.expr else {
            self.fault(tree, format!("{function} needs a pattern in quotes"), None);
            return;
        };
        if let Err(message) = patterns::compile(pattern.inner()) {
            self.fault(
                tree,
                format!("invalid pattern {:?}: {message}", pattern.inner()),
                None,
            );
        }
    }

    fn fits(&mut self, tree: &IdedExpr, kind: Type, accepted: &[Type], user: &str) {
        if !accepted.iter().any(|accepted| kind.may_be(*accepted)) {
            let wanted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
            let message = format!("{user} needs {}, found {kind}", wanted.join(" or "));
            self.fault(tree, message, None);
        }
    }

    /// Two operands of the same type, which is one of `accepted`.
    fn pair(
        &mut self,
        tree: &IdedExpr,
        left: Type,
        right: Type,
        accepted: &[Type],
        operator: &str,
    ) -> Type {
        let fits = |kind: Type| accepted.iter().any(|accepted| kind.may_be(*accepted));
        if fits(left) && fits(right) && left.may_be(right) {
            return if left == Type::Unknown { right } else { left };
        }
        let message = format!(
            "{} does not accept {left} and {right}",
            written_name(operator)
        );
        self.fault(tree, message, conversion(left, right))
    }
}

/// How to make two types one.
fn conversion(left: Type, right: Type) -> Option<String> {
    match (left, right) {
        (Type::Text, Type::Number) | (Type::Number, Type::Text) => {
            Some("double(text) converts text to a number".to_owned())
        }
        (Type::Text, Type::Truth) | (Type::Truth, Type::Text) => {
            Some("string(value) converts true or false to text".to_owned())
        }
        _ => None,
    }
}
