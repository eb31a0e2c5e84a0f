//! Runs a checked expression. Total: every run ends, with a value or a [`Fault`], within a fixed number of steps.

use super::ast::BinaryOp;
use super::field::Field;
use super::function::Function;
use super::program::Op;
use super::value::{Type, Value};
use num_bigint::BigInt;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Steps of one run: nodes visited, and 64 bytes or one item looked at.
const STEPS_MAX: u64 = 100_000;

/// Why an expression has no value for this event. The event then does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An operand is something else than the operation takes.
    #[error("wanted {0}, found {1}")]
    Wanted(&'static str, &'static str),
    /// More than 256 bits.
    #[error("the result has more than 256 bits")]
    Overflow,
    /// `x / 0` or `x % 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// Bytes that are no UTF-8.
    #[error("the bytes are not UTF-8 text")]
    NotText,
    /// Text that is no number, or bytes too long for one.
    #[error("this is not an integer")]
    NotInteger,
    /// The values are too large to look through.
    #[error("more than {STEPS_MAX} steps: the values are too large")]
    TooCostly,
}

/// What the event holds.
pub trait Env {
    /// The parameter at `index`; null when there is none.
    fn arg(&self, index: usize) -> Cow<'_, Value>;
    /// A field; null when it is absent.
    fn field(&self, field: Field) -> Cow<'_, Value>;
}

/// The steps that are left.
pub(crate) struct Fuel(u64);

impl Default for Fuel {
    fn default() -> Self {
        Self(STEPS_MAX)
    }
}
impl Fuel {
    fn burn(&mut self, steps: u64) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(steps).ok_or(Fault::TooCostly)?;
        Ok(())
    }
    /// What the items of a value hold, down to the last: for whatever looks at more than the value itself.
    fn burn_within(&mut self, value: &Value) -> Result<(), Fault> {
        let mut item = |value: &Value| {
            self.burn(value.size())?;
            self.burn_within(value)
        };
        match value {
            Value::Array(items) => items.iter().try_for_each(item),
            Value::Map(members) => members.iter().try_for_each(|(key, value)| {
                item(key)?;
                item(value)
            }),
            _ => Ok(()),
        }
    }
}

type Found<'e> = Result<Cow<'e, Value>, Fault>;

fn owned<'e>(value: Value) -> Found<'e> {
    Ok(Cow::Owned(value))
}

fn wanted(what: &'static str, found: &Value) -> Fault {
    Fault::Wanted(what, found.kind().name())
}

pub(crate) fn run<'e>(op: &'e Op, env: &'e dyn Env, fuel: &mut Fuel) -> Found<'e> {
    fuel.burn(1)?;
    match op {
        Op::Const(value) => Ok(Cow::Borrowed(value)),
        Op::Arg(index) => Ok(env.arg(*index)),
        Op::Field(field) => Ok(env.field(*field)),
        Op::Member(of, name) => {
            let of = run(of, env, fuel)?;
            fuel.burn(of.weight())?;
            pick(of, |value| member(value, name))
        }
        Op::Index(of, index) => {
            let of = run(of, env, fuel)?;
            let index = run(index, env, fuel)?;
            fuel.burn(of.weight())?;
            at(of, &index)
        }
        Op::Call(function, args) => call(*function, args, env, fuel),
        Op::List(items) => {
            let copy = |item| {
                let value = run(item, env, fuel)?;
                // before it is copied: a list may name the same large value many times
                fuel.burn(value.size())?;
                fuel.burn_within(&value)?;
                Ok(value.into_owned())
            };
            let items: Result<Vec<Value>, Fault> = items.iter().map(copy).collect();
            owned(Value::Array(items?))
        }
        Op::Not(inner) => {
            let value = boolean(run(inner, env, fuel)?.as_ref())?;
            owned(Value::Bool(!value))
        }
        Op::Negate(inner) => integer_of(-integer(run(inner, env, fuel)?.as_ref())?),
        Op::Binary(op, left, right) => binary(*op, left, right, env, fuel),
    }
}

fn boolean(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(b) => Ok(*b),
        other => Err(wanted("a boolean", other)),
    }
}

fn integer(value: &Value) -> Result<BigInt, Fault> {
    match value {
        Value::Int(n) => Ok(n.clone()),
        Value::Bytes(bytes) => Value::bytes_to_int(bytes).ok_or(Fault::NotInteger),
        other => Err(wanted("an integer", other)),
    }
}

fn integer_of<'e>(n: BigInt) -> Found<'e> {
    match Value::int(n) {
        Value::Null => Err(Fault::Overflow),
        fits => owned(fits),
    }
}

/// A part of a value, without copying the whole when it is borrowed.
fn pick<'e>(of: Cow<'e, Value>, part: impl FnOnce(&Value) -> Option<&Value>) -> Found<'e> {
    match of {
        Cow::Borrowed(value) => Ok(part(value).map_or(Cow::Owned(Value::Null), Cow::Borrowed)),
        Cow::Owned(value) => owned(part(&value).cloned().unwrap_or(Value::Null)),
    }
}

fn member<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    match of {
        Value::Map(members) => members
            .iter()
            .find(|(key, _)| match key {
                Value::Text(text) => text == name,
                Value::Bytes(bytes) => bytes == name.as_bytes(),
                _ => false,
            })
            .map(|(_, value)| value),
        _ => None,
    }
}

fn at<'e>(of: Cow<'e, Value>, index: &Value) -> Found<'e> {
    match (of.as_ref(), index) {
        (Value::Array(_), Value::Int(n)) => {
            let position = usize::try_from(n).ok();
            pick(of, |value| match (value, position) {
                (Value::Array(items), Some(n)) => items.get(n),
                _ => None,
            })
        }
        (Value::Array(_), other) => Err(wanted("an integer as index", other)),
        (Value::Map(_), key) => {
            let key = key.clone();
            pick(of, |value| match value {
                Value::Map(members) => members.iter().find(|(k, _)| k.same(&key)).map(|(_, v)| v),
                _ => None,
            })
        }
        (Value::Null, _) => owned(Value::Null),
        (other, _) => Err(wanted("an array or a map", other)),
    }
}

fn binary<'e>(op: BinaryOp, left: &'e Op, right: &'e Op, env: &'e dyn Env, fuel: &mut Fuel) -> Found<'e> {
    let a = run(left, env, fuel)?;
    match op {
        BinaryOp::And | BinaryOp::Or => {
            let first = boolean(&a)?;
            // the second one is not looked at when the first one decides
            if first == (op == BinaryOp::Or) {
                return owned(Value::Bool(first));
            }
            let second = boolean(run(right, env, fuel)?.as_ref())?;
            return owned(Value::Bool(second));
        }
        _ => {}
    }
    let b = run(right, env, fuel)?;
    fuel.burn(a.weight().saturating_add(b.weight()))?;
    let (a, b) = (a.as_ref(), b.as_ref());
    match op {
        BinaryOp::Equal => owned(Value::Bool(same(a, b, fuel)?)),
        BinaryOp::Unequal => owned(Value::Bool(!same(a, b, fuel)?)),
        BinaryOp::Less | BinaryOp::LessOrEqual | BinaryOp::Greater | BinaryOp::GreaterOrEqual => {
            let order = a.order(b).ok_or_else(|| unordered(a, b))?;
            owned(Value::Bool(match op {
                BinaryOp::Less => order == Ordering::Less,
                BinaryOp::LessOrEqual => order != Ordering::Greater,
                BinaryOp::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        BinaryOp::In => owned(Value::Bool(is_in(a, b, fuel)?)),
        BinaryOp::NotIn => owned(Value::Bool(!is_in(a, b, fuel)?)),
        BinaryOp::Add => integer_of(integer(a)? + integer(b)?),
        BinaryOp::Subtract => integer_of(integer(a)? - integer(b)?),
        BinaryOp::Multiply => integer_of(integer(a)? * integer(b)?),
        BinaryOp::Divide | BinaryOp::Remainder => {
            let (a, b) = (integer(a)?, integer(b)?);
            if b == BigInt::ZERO {
                return Err(Fault::DivisionByZero);
            }
            // towards zero, as the NeoVM divides
            integer_of(if op == BinaryOp::Divide { a / b } else { a % b })
        }
        BinaryOp::And | BinaryOp::Or => Err(wanted("a boolean", a)),
    }
}

fn unordered(a: &Value, b: &Value) -> Fault {
    let odd = if matches!(a.kind(), Type::Int | Type::Decimal | Type::Text) {
        b
    } else {
        a
    };
    wanted("two numbers or two strings", odd)
}

/// [`Value::same`], to whatever depth that looks; the values themselves are paid for.
fn same(a: &Value, b: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
    match (a, b) {
        (Value::Array(items), Value::Array(others)) if items.len() != others.len() => return Ok(false),
        (Value::Array(_), Value::Array(_)) | (Value::Map(_), Value::Map(_)) => fuel.burn_within(a)?,
        _ => {}
    }
    Ok(a.same(b))
}

fn is_in(item: &Value, of: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
    let burn = |fuel: &mut Fuel, other: &Value| fuel.burn(item.weight().saturating_add(other.weight()));
    match of {
        Value::Array(items) => {
            for other in items {
                burn(fuel, other)?;
                if same(item, other, fuel)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(members) => {
            for (key, _) in members {
                burn(fuel, key)?;
                if same(item, key, fuel)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Null => Ok(false),
        other => Err(wanted("an array or a map", other)),
    }
}

fn call<'e>(function: Function, args: &'e [Op], env: &'e dyn Env, fuel: &mut Fuel) -> Found<'e> {
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        let value = run(arg, env, fuel)?;
        fuel.burn(value.weight())?;
        values.push(value);
    }
    let first = values.first().map_or(&Value::Null, AsRef::as_ref);
    let second = values.get(1).map_or(&Value::Null, AsRef::as_ref);
    match function {
        Function::StartsWith => owned(Value::Bool(bytes(first)?.starts_with(bytes(second)?))),
        Function::EndsWith => owned(Value::Bool(bytes(first)?.ends_with(bytes(second)?))),
        Function::Contains => owned(Value::Bool(contains(first, second, fuel)?)),
        Function::Lower => owned(Value::Text(text(first)?.to_lowercase())),
        Function::Upper => owned(Value::Text(text(first)?.to_uppercase())),
        Function::Length => {
            let length = match first {
                Value::Text(text) => text.chars().count(),
                Value::Bytes(bytes) => bytes.len(),
                Value::Array(items) => items.len(),
                Value::Map(members) => members.len(),
                other => return Err(wanted("text, bytes, an array or a map", other)),
            };
            owned(Value::Int(BigInt::from(length)))
        }
        Function::Abs => integer_of(BigInt::from(integer(first)?.magnitude().clone())),
        Function::Min => owned(Value::Int(integer(first)?.min(integer(second)?))),
        Function::Max => owned(Value::Int(integer(first)?.max(integer(second)?))),
        Function::Int => match first {
            Value::Bool(b) => owned(Value::Int(BigInt::from(u8::from(*b)))),
            Value::Text(text) if text.len() <= 80 => {
                integer_of(text.parse::<BigInt>().map_err(|_| Fault::NotInteger)?)
            }
            Value::Text(_) => Err(Fault::NotInteger),
            other => owned(Value::Int(integer(other)?)),
        },
        Function::Text => owned(Value::Text(text(first)?.to_owned())),
        // these were computed when the filter was checked
        Function::Hex | Function::Base64 | Function::Address | Function::Gas => {
            Err(wanted("a literal", first))
        }
    }
}

fn bytes(value: &Value) -> Result<&[u8], Fault> {
    match value {
        Value::Text(text) => Ok(text.as_bytes()),
        Value::Bytes(bytes) => Ok(bytes),
        other => Err(wanted("text or bytes", other)),
    }
}

fn text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| Fault::NotText),
        other => Err(wanted("text", other)),
    }
}

fn contains(of: &Value, part: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
    match of {
        Value::Array(_) | Value::Map(_) => is_in(part, of, fuel),
        Value::Text(text) if matches!(part, Value::Text(_)) => {
            // linear in the standard library
            let Value::Text(part) = part else { return Ok(false) };
            Ok(text.contains(part.as_str()))
        }
        _ => {
            let (of, part) = (bytes(of)?, bytes(part)?);
            if part.is_empty() {
                return Ok(true);
            }
            let steps = of.len().saturating_mul(part.len()) / 64;
            fuel.burn(u64::try_from(steps).unwrap_or(u64::MAX))?;
            Ok(of.windows(part.len()).any(|window| window == part))
        }
    }
}
