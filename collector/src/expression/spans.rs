//! The byte range of each part of an expression in its text. The parser reports a place only with an error, so
//! this walks the tree and the tokens side by side: both have the same order.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::parser::pratt_parser::{Lexer, TokenKind};
use std::collections::BTreeMap;
use std::ops::Range;

/// Byte ranges, by the id of a node.
pub(super) struct Spans(BTreeMap<u64, Range<usize>>);

/// One token; of a bracket also the index of the one that closes it.
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) bytes: Range<usize>,
    closed_by: Option<usize>,
}

/// The tokens of a text, without white space and comments.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open = Vec::new();
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd => return tokens,
            TokenKind::TokWhitespace | TokenKind::TokComment => continue,
            TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace => {
                open.push(tokens.len());
            }
            TokenKind::TokRightParen | TokenKind::TokRightBracket | TokenKind::TokRightBrace => {
                let closed_by = tokens.len();
                if let Some(opened) = open.pop().and_then(|at| tokens.get_mut(at)) {
                    opened.closed_by = Some(closed_by);
                }
            }
            _ => {}
        }
        let (mut start, mut end) = (token.start, token.end);
        // The lexer reports a character that it does not know byte by byte.
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while end < text.len() && !text.is_char_boundary(end) {
            end += 1;
        }
        tokens.push(Token {
            kind: token.kind,
            bytes: start..end,
            closed_by: None,
        });
        // Each token has at least one byte; a lexer that does not advance must not hang the collector.
        if tokens.len() > text.len() {
            return tokens;
        }
    }
}

impl Spans {
    /// Finds the place of each node of `tree`, which was parsed from `text`.
    pub(super) fn find(text: &str, tree: &IdedExpr) -> Self {
        let tokens = tokens(text);
        let mut finder = Finder {
            text,
            next: 0,
            end: tokens.len(),
            tokens,
            found: BTreeMap::new(),
        };
        finder.walk(tree);
        Self(finder.found)
    }

    /// The bytes of a node; the empty range at the start for a node that the parser made up.
    pub(super) fn of(&self, tree: &IdedExpr) -> Range<usize> {
        self.get(tree.id).unwrap_or(0..0)
    }

    pub(super) fn get(&self, id: u64) -> Option<Range<usize>> {
        self.0.get(&id).cloned()
    }
}

struct Finder<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// The tokens from `next` to `end` belong to the nodes that follow.
    next: usize,
    end: usize,
    found: BTreeMap<u64, Range<usize>>,
}

fn union(one: Option<Range<usize>>, other: Option<Range<usize>>) -> Option<Range<usize>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.start.min(other.start)..one.end.max(other.end)),
        (one, other) => one.or(other),
    }
}

fn is_literal(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::TokNull
            | TokenKind::TokTrue
            | TokenKind::TokFalse
            | TokenKind::TokInt
            | TokenKind::TokUint
            | TokenKind::TokFloat
            | TokenKind::TokString
            | TokenKind::TokBytes
    )
}

/// A variable of the parser.
fn is_made_up(tree: &IdedExpr) -> bool {
    matches!(&tree.expr, Expr::Ident(name) if name.starts_with('@'))
}

impl Finder<'_> {
    /// Takes the next token that is `wanted`.
    fn take(&mut self, wanted: impl Fn(&Token, &str) -> bool) -> Option<Range<usize>> {
        let at = (self.next..self.end).find(|at| {
            self.tokens.get(*at).is_some_and(|token| {
                let text = self.text.get(token.bytes.clone()).unwrap_or_default();
                wanted(token, text)
            })
        })?;
        self.next = at + 1;
        self.tokens.get(at).map(|token| token.bytes.clone())
    }

    fn name(&mut self, name: &str) -> Option<Range<usize>> {
        self.take(|token, text| token.kind == TokenKind::TokIdent && text == name)
    }

    fn sign(&mut self, kind: TokenKind) -> Option<Range<usize>> {
        self.take(|token, _| token.kind == kind)
    }

    /// Walks the nodes between the next bracket and the one that closes it; returns the place of the latter.
    fn within(&mut self, open: TokenKind, inner: impl FnOnce(&mut Self)) -> Option<Range<usize>> {
        self.sign(open)?;
        let close = self.tokens.get(self.next.checked_sub(1)?)?.closed_by?;
        let end = std::mem::replace(&mut self.end, close);
        inner(self);
        self.end = end;
        self.next = close + 1;
        self.tokens.get(close).map(|token| token.bytes.clone())
    }

    fn walk(&mut self, tree: &IdedExpr) -> Option<Range<usize>> {
        let found = match &tree.expr {
            Expr::Literal(_) => {
                let literal = self.take(|token, _| is_literal(token.kind));
                literal.map(|bytes| self.signed(bytes))
            }
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) if select.test => {
                let name = self.name("has");
                let close = self.within(TokenKind::TokLeftParen, |finder| {
                    finder.walk(&select.operand);
                });
                union(name, close)
            }
            Expr::Select(select) => {
                let operand = self.walk(&select.operand);
                union(operand, self.name(&select.field))
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.bracketed(TokenKind::TokLeftBracket, |finder| {
                for element in &list.elements {
                    finder.walk(element);
                }
            }),
            Expr::Map(map) => self.bracketed(TokenKind::TokLeftBrace, |finder| {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        finder.walk(&entry.key);
                        finder.walk(&entry.value);
                    }
                }
            }),
            Expr::Comprehension(loops) => self.loops(loops),
            Expr::Struct(_) | Expr::Unspecified => None,
        };
        let found = found.map(|bytes| self.balanced(bytes));
        if let Some(bytes) = &found {
            self.found.entry(tree.id).or_insert_with(|| bytes.clone());
        }
        found
    }

    /// The next pair of brackets, with the nodes between them.
    fn bracketed(
        &mut self,
        open: TokenKind,
        inner: impl FnOnce(&mut Self),
    ) -> Option<Range<usize>> {
        let at = self.next;
        let close = self.within(open, inner)?;
        let mut before = self.tokens.iter().skip(at);
        let start = before.find(|token| token.kind == open)?.bytes.start;
        Some(start..close.end)
    }

    /// The bytes with the parentheses that are opened or closed in them alone: they are no nodes.
    fn balanced(&self, bytes: Range<usize>) -> Range<usize> {
        let inside =
            |token: &&Token| bytes.start <= token.bytes.start && token.bytes.end <= bytes.end;
        let mut open = 0_usize;
        for token in self.tokens.iter().filter(inside) {
            match token.kind {
                TokenKind::TokLeftParen => open += 1,
                TokenKind::TokRightParen => open = open.saturating_sub(1),
                _ => {}
            }
        }
        let after = self
            .tokens
            .iter()
            .filter(|token| token.bytes.start >= bytes.end);
        let closing = after.take_while(|token| token.kind == TokenKind::TokRightParen);
        let end = closing.take(open).last().map(|token| token.bytes.end);
        bytes.start..end.unwrap_or(bytes.end)
    }

    /// The minus sign of a literal is part of it.
    fn signed(&self, bytes: Range<usize>) -> Range<usize> {
        let before = self.text.get(..bytes.start).unwrap_or_default();
        let operand =
            |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || ")]}'\"_".contains(c));
        match before.strip_suffix('-') {
            Some(rest) if !operand(rest.trim_end()) => bytes.start - 1..bytes.end,
            _ => bytes,
        }
    }

    fn call(&mut self, call: &CallExpr) -> Option<Range<usize>> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX, [operand, index]) => {
                let operand = self.walk(operand);
                let close = self.within(TokenKind::TokLeftBracket, |finder| {
                    finder.walk(index);
                });
                union(operand, close)
            }
            (operators::LOGICAL_NOT, [operand]) => {
                let sign = self.sign(TokenKind::TokExclamation);
                union(sign, self.walk(operand))
            }
            (operators::NEGATE, [operand]) => {
                let sign = self.sign(TokenKind::TokMinus);
                union(sign, self.walk(operand))
            }
            (name, args) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let target = call.target.as_deref().and_then(|target| self.walk(target));
                let name = self.name(name);
                let close = self.within(TokenKind::TokLeftParen, |finder| {
                    for argument in args {
                        finder.walk(argument);
                    }
                });
                union(union(target, name), close)
            }
            // The loop of `map` collects by `@result + [element]`.
            (_, [collected, list]) if is_made_up(collected) => match &list.expr {
                Expr::List(list) => list.elements.first().and_then(|part| self.walk(part)),
                _ => self.walk(list),
            },
            (_, args) => args
                .iter()
                .fold(None, |found, part| union(found, self.walk(part))),
        }
    }

    /// `list.all(x, condition)`: the parser makes a loop of it, of which the range and the step are written.
    fn loops(&mut self, loops: &ComprehensionExpr) -> Option<Range<usize>> {
        let range = self.walk(&loops.iter_range);
        let close = self.within(TokenKind::TokLeftParen, |finder| {
            finder.name(&loops.iter_var);
            finder.walk(&loops.loop_step);
        });
        union(range, close)
    }
}

/// The parts of a tree that are evaluated with the same variables as itself: not the body of a loop.
fn parts(tree: &IdedExpr) -> Vec<&IdedExpr> {
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

/// The smallest part of a tree that `fails`, if the tree itself fails. Of a conditional only the branch that is
/// taken counts; `condition_value` is the value of its condition.
pub(super) fn smallest<'t>(
    tree: &'t IdedExpr,
    fails: &dyn Fn(&IdedExpr) -> bool,
    condition_value: &dyn Fn(&IdedExpr) -> Option<bool>,
) -> Option<&'t IdedExpr> {
    if !fails(tree) {
        return None;
    }
    let mut within = parts(tree);
    if let Expr::Call(call) = &tree.expr
        && call.func_name == operators::CONDITIONAL
        && let [condition, yes, no] = call.args.as_slice()
    {
        within = match condition_value(condition) {
            Some(true) => vec![yes],
            Some(false) => vec![no],
            None => vec![condition],
        };
    }
    let smaller = within
        .into_iter()
        .find_map(|part| smallest(part, fails, condition_value));
    Some(smaller.unwrap_or(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str) -> Vec<String> {
        let tree = cel::parser::PrattParser::new().parse(text).unwrap();
        let spans = Spans::find(text, &tree);
        spans
            .0
            .values()
            .map(|bytes| text[bytes.clone()].to_owned())
            .collect()
    }

    #[test]
    fn each_node_has_its_text() {
        for (text, parts) in [
            (
                "a.b + f(c, (1))",
                &["a.b + f(c, (1))", "a.b", "f(c, (1))", "c", "1"][..],
            ),
            (
                "!(a['x'] > -3)",
                &["!(a['x'] > -3)", "a['x'] > -3", "a['x']", "'x'", "-3"],
            ),
            (
                "l.all(x, x > 2 && true) && y",
                &["l.all(x, x > 2 && true)", "x > 2 && true", "x > 2", "y"],
            ),
            (
                "l.filter(x, x > 1).size() == x",
                &["l.filter(x, x > 1)", "l.filter(x, x > 1).size()"],
            ),
            (
                "l.map(x, c, x * 2).size()",
                &["l.map(x, c, x * 2)", "x * 2", "c"],
            ),
            (
                "has(a.b.c) ? {'k': [1, 2]} : a.d",
                &["has(a.b.c)", "a.b", "{'k': [1, 2]}", "[1, 2]", "a.d"],
            ),
            (
                "'(' + a.matches(')') + \"é\"",
                &["a.matches(')')", "')'", "\"é\""],
            ),
        ] {
            let found = spans(text);
            for part in parts {
                assert!(
                    found.iter().any(|seen| seen == part),
                    "{part} in {text}: {found:?}"
                );
            }
        }
    }
}
