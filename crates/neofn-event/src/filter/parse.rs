//! From tokens to the tree: recursive descent with a bound on depth and on the number of nodes.

use super::ast::{BinaryOp, Expr, Literal, Node};
use super::error::FilterError;
use super::token::{Spanned, Token, tokens};
use neofn_types::Code;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Longest text of an expression, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4_096;
/// Most nodes of an expression.
pub const NODES_MAX: usize = 500;
/// Deepest nesting of parentheses, brackets and signs.
const DEPTH_MAX: usize = 40;

/// An expression with the text that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    root: Expr,
}

impl Expression {
    /// The text, as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Expr {
        &self.root
    }
}
impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Expression {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > SOURCE_BYTES_MAX {
            return Err(too_large(
                0..text.len(),
                format!("more than {SOURCE_BYTES_MAX} bytes"),
            ));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens,
            at: 0,
            depth: 0,
            nodes: 0,
        };
        if parser.peek() == &Token::End {
            return Err(FilterError::syntax(
                0..text.len(),
                "the expression is empty",
                "write a condition, like amount >= 1_000, or remove it",
            ));
        }
        let root = parser.or()?;
        if parser.peek() != &Token::End {
            return Err(parser.unexpected("the expression ends before this"));
        }
        Ok(Self {
            text: text.to_owned(),
            root,
        })
    }
}

fn too_large(span: Range<usize>, why: String) -> FilterError {
    FilterError {
        span,
        code: Code::FilterTooLarge,
        message: format!("the expression is too large: {why}"),
        hint: "let the filter choose roughly, and the function decide".to_owned(),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
    nodes: usize,
}

type Parsed = Result<Expr, FilterError>;

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |t| &t.token)
    }
    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(0..0, |t| t.span.clone())
    }
    fn next(&mut self) {
        // the end is never passed
        if self.peek() != &Token::End {
            self.at += 1;
        }
    }
    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(s) if *s == sign);
        if found {
            self.next();
        }
        found
    }
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if w == word);
        if found {
            self.next();
        }
        found
    }
    fn expect(&mut self, sign: &'static str, opened: &Range<usize>) -> Result<Range<usize>, FilterError> {
        let span = self.span();
        if self.sign(sign) {
            return Ok(span);
        }
        if self.peek() == &Token::End {
            return Err(FilterError::syntax(
                opened.clone(),
                "opened here and never closed",
                format!("add `{sign}`"),
            ));
        }
        Err(self.unexpected(&format!("expected `{sign}`")))
    }
    fn unexpected(&self, what: &str) -> FilterError {
        let (message, hint) = match self.peek() {
            Token::End => ("the expression breaks off".to_owned(), "something must follow"),
            Token::Word(w) if w == "AND" || w == "OR" || w == "NOT" || w == "IN" => (
                format!("{what}: `{w}`"),
                "operators are written small: and, or, not, in",
            ),
            Token::Sign("!") => (format!("{what}: `!`"), "write `not` or `!=`"),
            Token::Sign(s) => (
                format!("{what}: `{s}`"),
                "see the reference of triggers for the grammar",
            ),
            Token::Word(w) => (format!("{what}: `{w}`"), "join conditions with `and` or `or`"),
            _ => (what.to_owned(), "join conditions with `and` or `or`"),
        };
        FilterError::syntax(self.span(), message, hint)
    }
    fn make(&mut self, node: Node, span: Range<usize>) -> Parsed {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_large(span, format!("more than {NODES_MAX} parts")));
        }
        Ok(Expr { node, span })
    }
    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_large(
                self.span(),
                format!("nested more than {DEPTH_MAX} deep"),
            ));
        }
        let found = inner(self);
        self.depth -= 1;
        found
    }
    fn binary(&mut self, op: BinaryOp, left: Expr, right: Expr) -> Parsed {
        let span = left.span.start..right.span.end;
        self.make(Node::Binary(op, Box::new(left), Box::new(right)), span)
    }

    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.word("or") || self.sign("||") {
            let right = self.and()?;
            left = self.binary(BinaryOp::Or, left, right)?;
        }
        Ok(left)
    }
    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.word("and") || self.sign("&&") {
            let right = self.not()?;
            left = self.binary(BinaryOp::And, left, right)?;
        }
        Ok(left)
    }
    fn not(&mut self) -> Parsed {
        let start = self.span().start;
        if self.word("not") || self.sign("!") {
            let inner = self.deeper(Self::not)?;
            let span = start..inner.span.end;
            return self.make(Node::Not(Box::new(inner)), span);
        }
        self.comparison()
    }
    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let Some(op) = self.comparison_op()? else {
            return Ok(left);
        };
        let right = self.sum()?;
        let found = self.binary(op, left, right)?;
        let span = self.span();
        if self.comparison_op()?.is_some() {
            return Err(FilterError::syntax(
                span,
                "two comparisons in a row",
                "write `1 <= x and x < 10`",
            ));
        }
        Ok(found)
    }
    fn comparison_op(&mut self) -> Result<Option<BinaryOp>, FilterError> {
        let op = match self.peek() {
            Token::Sign("==") => BinaryOp::Equal,
            Token::Sign("!=") => BinaryOp::Unequal,
            Token::Sign("<") => BinaryOp::Less,
            Token::Sign("<=") => BinaryOp::LessOrEqual,
            Token::Sign(">") => BinaryOp::Greater,
            Token::Sign(">=") => BinaryOp::GreaterOrEqual,
            Token::Word(w) if w == "in" => BinaryOp::In,
            Token::Word(w) if w == "not" => {
                self.next();
                if self.word("in") {
                    return Ok(Some(BinaryOp::NotIn));
                }
                return Err(self.unexpected("expected `in` after `not`"));
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(op))
    }
    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let op = if self.sign("+") {
                BinaryOp::Add
            } else if self.sign("-") {
                BinaryOp::Subtract
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = self.binary(op, left, right)?;
        }
    }
    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let op = if self.sign("*") {
                BinaryOp::Multiply
            } else if self.sign("/") {
                BinaryOp::Divide
            } else if self.sign("%") {
                BinaryOp::Remainder
            } else {
                return Ok(left);
            };
            let right = self.unary()?;
            left = self.binary(op, left, right)?;
        }
    }
    fn unary(&mut self) -> Parsed {
        let start = self.span().start;
        if self.sign("-") {
            let inner = self.deeper(Self::unary)?;
            let span = start..inner.span.end;
            return self.make(Node::Negate(Box::new(inner)), span);
        }
        self.postfix()
    }
    fn postfix(&mut self) -> Parsed {
        let mut of = self.primary()?;
        loop {
            let opened = self.span();
            if self.sign("[") {
                let index = self.deeper(Self::or)?;
                let end = self.expect("]", &opened)?.end;
                let span = of.span.start..end;
                of = self.make(Node::Index(Box::new(of), Box::new(index)), span)?;
            } else if self.sign(".") {
                let name_span = self.span();
                let Token::Word(name) = self.peek().clone() else {
                    return Err(self.unexpected("expected a name after `.`"));
                };
                self.next();
                let opened = self.span();
                if self.sign("(") {
                    let (mut args, end) = self.list(")", &opened)?;
                    let span = of.span.start..end;
                    args.insert(0, of);
                    of = self.make(Node::Call(name, args), span)?;
                } else {
                    let span = of.span.start..name_span.end;
                    of = self.make(Node::Member(Box::new(of), name), span)?;
                }
            } else {
                return Ok(of);
            }
        }
    }
    /// Items up to `close`; a comma may follow the last one.
    fn list(
        &mut self,
        close: &'static str,
        opened: &Range<usize>,
    ) -> Result<(Vec<Expr>, usize), FilterError> {
        let mut items = Vec::new();
        loop {
            let span = self.span();
            if self.sign(close) {
                return Ok((items, span.end));
            }
            items.push(self.deeper(Self::or)?);
            if !self.sign(",") {
                return Ok((items, self.expect(close, opened)?.end));
            }
        }
    }
    fn primary(&mut self) -> Parsed {
        let span = self.span();
        let literal = match self.peek().clone() {
            Token::Int(n) => Literal::Int(n),
            Token::Decimal(n) => Literal::Decimal(n),
            Token::Text(s) => Literal::Text(s),
            Token::Hash160(h) => Literal::Hash160(h),
            Token::Hash256(h) => Literal::Hash256(h),
            Token::Word(w) => match w.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                "and" | "or" | "in" | "not" => return Err(self.unexpected("expected a value, found")),
                _ => return self.name(w, span),
            },
            Token::Sign("(") => {
                self.next();
                let inner = self.deeper(Self::or)?;
                let end = self.expect(")", &span)?.end;
                // the parentheses belong to the place, not to the tree
                return Ok(Expr {
                    node: inner.node,
                    span: span.start..end,
                });
            }
            Token::Sign("[") => {
                self.next();
                let (items, end) = self.list("]", &span)?;
                return self.make(Node::List(items), span.start..end);
            }
            Token::Sign(_) | Token::End => return Err(self.unexpected("expected a value, found")),
        };
        self.next();
        self.make(Node::Literal(literal), span)
    }
    fn name(&mut self, name: String, span: Range<usize>) -> Parsed {
        self.next();
        let opened = self.span();
        if self.sign("(") {
            let (args, end) = self.list(")", &opened)?;
            return self.make(Node::Call(name, args), span.start..end);
        }
        self.make(Node::Name(name), span)
    }
}
