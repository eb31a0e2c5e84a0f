//! Checks an expression against its scope: every name is known, every operation gets what it takes.

use super::ast::{BinaryOp, Expr, Literal, Node};
use super::error::FilterError;
use super::field::Field;
use super::fold;
use super::function::Function;
use super::parse::Expression;
use super::program::{Condition, Key, Op, Program};
use super::scope::{Parameters, Scope};
use super::value::{Type, Value};
use neofn_types::closest;
use std::ops::Range;

/// Most names that a message lists.
const NAMES_SHOWN_MAX: usize = 12;

/// Checks a condition. All findings, in the order of the text.
pub fn check_condition(expression: &Expression, scope: &Scope) -> Result<Program, Vec<FilterError>> {
    let mut checker = Checker {
        scope,
        errors: Vec::new(),
        names: Vec::new(),
    };
    let mut conditions = Vec::new();
    for expr in conjuncts(expression.root()) {
        checker.names.clear();
        let (op, ty) = checker.check(expr);
        checker.want_bool(expr, ty);
        let text = expression.text().get(expr.span.clone()).unwrap_or_default();
        conditions.push(Condition {
            text: text.to_owned(),
            op,
            names: std::mem::take(&mut checker.names),
        });
    }
    checker.end(Program { conditions })
}

/// Checks an expression whose value groups events.
pub fn check_key(expression: &Expression, scope: &Scope) -> Result<Key, Vec<FilterError>> {
    let mut checker = Checker {
        scope,
        errors: Vec::new(),
        names: Vec::new(),
    };
    let (op, ty) = checker.check(expression.root());
    if matches!(ty, Type::Array | Type::Map) {
        checker.errors.push(FilterError::typed(
            expression.root().span.clone(),
            format!("a key is a single value, found {}", ty.name()),
            "name one of its members",
        ));
    }
    checker.end(Key { op })
}

/// What `and` joins at the top.
fn conjuncts(root: &Expr) -> Vec<&Expr> {
    let mut out = Vec::new();
    let mut open = vec![root];
    while let Some(expr) = open.pop() {
        match &expr.node {
            Node::Binary(BinaryOp::And, left, right) => {
                open.push(right);
                open.push(left);
            }
            _ => out.push(expr),
        }
    }
    out
}

struct Checker<'a> {
    scope: &'a Scope,
    errors: Vec<FilterError>,
    names: Vec<(String, Op)>,
}

type Typed = (Op, Type);

/// What stands for something that was reported already.
fn unknown() -> Typed {
    (Op::Const(Value::Null), Type::Any)
}

impl Checker<'_> {
    fn end<T>(mut self, found: T) -> Result<T, Vec<FilterError>> {
        self.errors.sort_by_key(|e| e.span.start);
        if self.errors.is_empty() {
            Ok(found)
        } else {
            Err(self.errors)
        }
    }
    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Typed {
        self.errors.push(FilterError::typed(span.clone(), message, hint));
        unknown()
    }
    fn want_bool(&mut self, expr: &Expr, ty: Type) {
        if !matches!(ty, Type::Bool | Type::Any) {
            self.wrong(
                &expr.span,
                format!("a condition is true or false, this is {}", ty.name()),
                "compare it, like `amount >= 1_000`",
            );
        }
    }
    fn remember(&mut self, expr: &Expr, op: &Op) {
        let name = expr.to_string();
        if !self.names.iter().any(|(known, _)| *known == name) {
            self.names.push((name, op.clone()));
        }
    }

    fn check(&mut self, expr: &Expr) -> Typed {
        match &expr.node {
            Node::Literal(literal) => constant(literal),
            Node::Name(name) => {
                let found = self.name(&expr.span, name);
                self.remember(expr, &found.0);
                found
            }
            Node::Member(of, name) => {
                let found = self.member(expr, of, name);
                self.remember(expr, &found.0);
                found
            }
            Node::Index(of, index) => {
                let (of_op, of_type) = self.check(of);
                let (index_op, index_type) = self.check(index);
                let fits = match of_type {
                    Type::Array => matches!(index_type, Type::Int | Type::Any),
                    Type::Any | Type::Map | Type::Null => true,
                    _ => false,
                };
                if !fits {
                    return self.wrong(
                        &expr.span,
                        format!("{} has no item at {}", of_type.name(), index_type.name()),
                        "arrays are indexed by position, like `args[0]`, maps by key",
                    );
                }
                let op = Op::Index(Box::new(of_op), Box::new(index_op));
                self.remember(expr, &op);
                (op, Type::Any)
            }
            Node::Call(name, args) => self.call(expr, name, args),
            Node::List(items) => {
                let items = items.iter().map(|item| self.check(item).0).collect();
                (Op::List(items), Type::Array)
            }
            Node::Not(inner) => {
                let (op, ty) = self.check(inner);
                self.want_bool(inner, ty);
                (Op::Not(Box::new(op)), Type::Bool)
            }
            Node::Negate(inner) => {
                let (op, ty) = self.check(inner);
                self.want_int(inner, ty);
                (Op::Negate(Box::new(op)), Type::Int)
            }
            Node::Binary(op, left, right) => self.binary(expr, *op, left, right),
        }
    }

    fn want_int(&mut self, expr: &Expr, ty: Type) {
        if !matches!(ty, Type::Int | Type::Any | Type::Bytes) {
            let hint = match ty {
                Type::Decimal => "compare with it; only integers are computed with",
                Type::Text => "int(…) reads digits",
                _ => "arithmetic is for integers",
            };
            self.wrong(
                &expr.span,
                format!("expected an integer, found {}", ty.name()),
                hint,
            );
        }
    }

    fn parameters(&self) -> &[super::Parameter] {
        match &self.scope.parameters {
            Parameters::Known(parameters) => parameters,
            _ => &[],
        }
    }

    fn name(&mut self, span: &Range<usize>, name: &str) -> Typed {
        let kind = self.scope.kind;
        if let Some((index, parameter)) = self.parameters().iter().enumerate().find(|(_, p)| p.name == name) {
            return (Op::Arg(index), parameter.ty.value_type());
        }
        if kind == crate::spec::TriggerKind::Notification
            && let Some(index) = name.strip_prefix("arg").and_then(|n| n.parse::<usize>().ok())
        {
            return self.positional(span, index);
        }
        if let Some(field) = Field::find(kind, name) {
            return (Op::Field(field), field.value_type());
        }
        if Field::is_namespace(kind, name) {
            let fields: Vec<&str> = Field::of(kind)
                .map(Field::path)
                .filter(|p| p.starts_with(&format!("{name}.")))
                .collect();
            return self.wrong(
                span,
                format!("`{name}` alone is not a value"),
                format!("name what of it: {}", fields.join(", ")),
            );
        }
        if kind == crate::spec::TriggerKind::Notification && self.scope.parameters == Parameters::Unchecked {
            return unknown();
        }
        if Function::find(name).is_some() {
            return self.wrong(
                span,
                format!("`{name}` is a function"),
                format!("call it: {name}(…)"),
            );
        }
        let hint = self.name_hint(name);
        self.wrong(span, format!("`{name}` is not known here"), hint)
    }

    fn positional(&mut self, span: &Range<usize>, index: usize) -> Typed {
        match &self.scope.parameters {
            Parameters::Known(parameters) => match parameters.get(index) {
                Some(parameter) => (Op::Arg(index), parameter.ty.value_type()),
                None => {
                    let count = parameters.len();
                    self.wrong(
                        span,
                        format!("the event has {count} parameters, there is no `arg{index}`"),
                        "the first one is arg0",
                    )
                }
            },
            _ => (Op::Arg(index), Type::Any),
        }
    }

    fn name_hint(&self, name: &str) -> String {
        let kind = self.scope.kind;
        let parameters: Vec<&str> = self.parameters().iter().map(|p| p.name.as_str()).collect();
        let mut known = parameters;
        for field in Field::of(kind) {
            known.push(field.path());
        }
        if let Some(meant) = closest(name, known.iter().copied()) {
            return format!("did you mean `{meant}`?");
        }
        if self.scope.parameters == Parameters::Unknown && kind == crate::spec::TriggerKind::Notification {
            return "the contract's manifest does not name the parameters: use arg0, arg1, …, or write them into \
                    `parameters`"
                .to_owned();
        }
        let names: Vec<&str> = known.into_iter().take(NAMES_SHOWN_MAX).collect();
        format!("known here: {}", names.join(", "))
    }

    fn member(&mut self, expr: &Expr, of: &Expr, name: &str) -> Typed {
        if let Node::Name(first) = &of.node
            && !self.parameters().iter().any(|p| p.name == *first)
            && Field::is_namespace(self.scope.kind, first)
        {
            let path = format!("{first}.{name}");
            if let Some(field) = Field::find(self.scope.kind, &path) {
                return (Op::Field(field), field.value_type());
            }
            let hint = self.name_hint(&path);
            return self.wrong(&expr.span, format!("`{path}` is not known here"), hint);
        }
        let before = self.names.len();
        let (of_op, of_type) = self.check(of);
        // of `data.user.name` only the whole path is shown
        self.names.truncate(before);
        if matches!(of_type, Type::Any | Type::Map | Type::Null) {
            return (Op::Member(Box::new(of_op), name.to_owned()), Type::Any);
        }
        self.wrong(
            &expr.span,
            format!("{} has no members", of_type.name()),
            "only maps and JSON objects have them",
        )
    }

    fn call(&mut self, expr: &Expr, name: &str, args: &[Expr]) -> Typed {
        let Some(function) = Function::find(name) else {
            let hint = match closest(name, Function::ALL.iter().map(|f| f.name())) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => {
                    let names: Vec<&str> = Function::ALL.iter().map(|f| f.name()).collect();
                    format!("known functions: {}", names.join(", "))
                }
            };
            return self.wrong(&expr.span, format!("there is no function `{name}`"), hint);
        };
        if args.len() != function.arity() {
            return self.wrong(
                &expr.span,
                format!(
                    "`{name}` takes {} arguments, found {}",
                    function.arity(),
                    args.len()
                ),
                function.signature(),
            );
        }
        let typed: Vec<Typed> = args.iter().map(|arg| self.check(arg)).collect();
        if function.is_constant() {
            return match typed.first() {
                Some((Op::Const(value), _)) => match fold::constant(function, value) {
                    Ok((value, ty)) => (Op::Const(value), ty),
                    Err(expected) => {
                        self.wrong(&expr.span, format!("expected {expected}"), function.signature())
                    }
                },
                _ => self.wrong(
                    &expr.span,
                    format!("`{name}` takes a literal"),
                    function.signature(),
                ),
            };
        }
        let result = self.call_types(function, args, &typed);
        (
            Op::Call(function, typed.into_iter().map(|(op, _)| op).collect()),
            result,
        )
    }

    fn call_types(&mut self, function: Function, args: &[Expr], typed: &[Typed]) -> Type {
        let text_or_bytes = |ty: Type| matches!(ty, Type::Any | Type::Text) || ty.is_bytes();
        let sized = |ty: Type| text_or_bytes(ty) || matches!(ty, Type::Array | Type::Map);
        // a text has texts and bytes in it; an array or a map may have anything
        let in_text = typed
            .first()
            .is_some_and(|(_, ty)| *ty == Type::Text || ty.is_bytes());
        let accepts = |position: usize, ty: Type| match (function, position) {
            (Function::StartsWith | Function::EndsWith, _) | (Function::Text, _) => text_or_bytes(ty),
            (Function::Contains, 0) | (Function::Length, _) => sized(ty),
            (Function::Contains, _) => !in_text || text_or_bytes(ty),
            (Function::Lower | Function::Upper, _) => matches!(ty, Type::Any | Type::Text | Type::Bytes),
            (Function::Int, _) => {
                matches!(ty, Type::Any | Type::Text | Type::Bytes | Type::Bool | Type::Int)
            }
            _ => matches!(ty, Type::Any | Type::Int | Type::Bytes),
        };
        for (position, (arg, (_, ty))) in args.iter().zip(typed).enumerate() {
            if !accepts(position, *ty) {
                self.wrong(
                    &arg.span,
                    format!("`{function}` does not take {}", ty.name()),
                    function.signature(),
                );
            }
        }
        match function {
            Function::StartsWith | Function::EndsWith | Function::Contains => Type::Bool,
            Function::Lower | Function::Upper | Function::Text => Type::Text,
            _ => Type::Int,
        }
    }

    fn binary(&mut self, expr: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Typed {
        let (mut left_op, left_type) = self.check(left);
        let (mut right_op, right_type) = self.check(right);
        let ty = match op {
            BinaryOp::And | BinaryOp::Or => {
                self.want_bool(left, left_type);
                self.want_bool(right, right_type);
                Type::Bool
            }
            BinaryOp::Add
            | BinaryOp::Subtract
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Remainder => {
                self.want_int(left, left_type);
                self.want_int(right, right_type);
                Type::Int
            }
            BinaryOp::In | BinaryOp::NotIn => {
                self.membership(left, left_type, right, right_type, &mut right_op);
                Type::Bool
            }
            _ => {
                self.convert(&left.span, &mut left_op, left_type, right_type);
                self.convert(&right.span, &mut right_op, right_type, left_type);
                let ordered = !matches!(op, BinaryOp::Equal | BinaryOp::Unequal);
                let fits = if ordered {
                    ordered_types(left_type, right_type)
                } else {
                    comparable(left_type, right_type)
                };
                if !fits {
                    let hint = compare_hint(ordered, left_type, right_type);
                    self.wrong(
                        &expr.span,
                        format!(
                            "{} cannot be compared with {} by `{op}`",
                            left_type.name(),
                            right_type.name()
                        ),
                        hint,
                    );
                }
                Type::Bool
            }
        };
        (Op::Binary(op, Box::new(left_op), Box::new(right_op)), ty)
    }

    /// A string literal that is compared with a hash is that hash.
    fn convert(&mut self, span: &Range<usize>, op: &mut Op, own: Type, wanted: Type) {
        if own != Type::Text || !matches!(wanted, Type::Hash160 | Type::Hash256 | Type::PublicKey) {
            return;
        }
        if let Op::Const(Value::Text(text)) = op {
            match fold::text_as(text, wanted) {
                Ok(value) => *op = Op::Const(value),
                Err(expected) => {
                    self.wrong(
                        span,
                        format!("this is compared with {}", wanted.name()),
                        format!("write {expected}"),
                    );
                }
            }
        }
    }

    fn membership(
        &mut self,
        left: &Expr,
        left_type: Type,
        right: &Expr,
        right_type: Type,
        right_op: &mut Op,
    ) {
        match right_type {
            Type::Array | Type::Map | Type::Any => {}
            Type::Text => {
                self.wrong(
                    &right.span,
                    "`in` looks into arrays and maps",
                    "write contains(text, part)",
                );
                return;
            }
            other => {
                self.wrong(
                    &right.span,
                    format!("`in` looks into arrays and maps, this is {}", other.name()),
                    "write it like `symbol in ['NEO', 'GAS']`",
                );
                return;
            }
        }
        let (Node::List(items), Op::List(ops)) = (&right.node, right_op) else {
            return;
        };
        for (item, op) in items.iter().zip(ops) {
            let ty = literal_type(op);
            self.convert(&item.span, op, ty, left_type);
            if !comparable(left_type, ty) {
                self.wrong(
                    &item.span,
                    format!("{} is never equal to {}", ty.name(), left_type.name()),
                    format!("`{left}` is {}", left_type.name()),
                );
            }
        }
    }
}

fn constant(literal: &Literal) -> Typed {
    let (value, ty) = match literal {
        Literal::Null => (Value::Null, Type::Null),
        Literal::Bool(b) => (Value::Bool(*b), Type::Bool),
        Literal::Int(n) => (Value::Int(n.clone()), Type::Int),
        Literal::Decimal(n) => (Value::Decimal(n.clone()), Type::Decimal),
        Literal::Text(text) => (Value::Text(text.clone()), Type::Text),
        Literal::Hash160(hash) => (Value::Bytes(hash.0.to_vec()), Type::Hash160),
        Literal::Hash256(hash) => (Value::Bytes(hash.to_vec()), Type::Hash256),
    };
    (Op::Const(value), ty)
}

fn literal_type(op: &Op) -> Type {
    match op {
        Op::Const(value) => value.kind(),
        _ => Type::Any,
    }
}

/// Whether two types can be equal at all.
fn comparable(a: Type, b: Type) -> bool {
    let bytes_with =
        |other: Type| matches!(other, Type::Text | Type::Int | Type::Decimal) || other.is_bytes();
    match (a, b) {
        (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => true,
        (Type::Bytes, other) | (other, Type::Bytes) => bytes_with(other),
        (a, b) if a.is_bytes() && b == Type::Text || b.is_bytes() && a == Type::Text => true,
        (a, b) if a.is_number() && b.is_number() => true,
        (a, b) => a == b,
    }
}

/// Whether one can be smaller than the other.
fn ordered_types(a: Type, b: Type) -> bool {
    let number = |ty: Type| ty.is_number() || matches!(ty, Type::Any | Type::Bytes);
    let text = |ty: Type| matches!(ty, Type::Text | Type::Any);
    (number(a) && number(b)) || (text(a) && text(b))
}

fn compare_hint(ordered: bool, a: Type, b: Type) -> &'static str {
    let has = |ty: Type| a == ty || b == ty;
    if has(Type::Int) && has(Type::Text) {
        "numbers are written without quotation marks; int(…) reads digits; amounts of GAS are gas('1.5')"
    } else if ordered {
        "numbers are ordered, and strings"
    } else if has(Type::Bool) {
        "booleans are compared with true and false"
    } else {
        "both sides need the same type"
    }
}
