//! A checked expression: no name in it is unknown, and its conditions can be told apart for explanations.

use super::ast::BinaryOp;
use super::eval::{Env, Fault, Fuel, run};
use super::field::Field;
use super::function::Function;
use super::value::Value;

/// An operation; names are resolved and literals converted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Const(Value),
    Arg(usize),
    Field(Field),
    Member(Box<Op>, String),
    Index(Box<Op>, Box<Op>),
    Call(Function, Vec<Op>),
    List(Vec<Op>),
    Not(Box<Op>),
    Negate(Box<Op>),
    Binary(BinaryOp, Box<Op>, Box<Op>),
}

/// One of the conditions that `and` joins at the top of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) text: String,
    pub(crate) op: Op,
    /// The names in it, as they are written.
    pub(crate) names: Vec<(String, Op)>,
}

/// A checked condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub(crate) conditions: Vec<Condition>,
}

/// What one condition came to.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionResult {
    /// The condition as it is written.
    pub text: String,
    /// Whether it holds; a fault holds nothing.
    pub outcome: Result<bool, Fault>,
    /// The values of the names in it.
    pub actual: Vec<Actual>,
}

/// A name and what it stood for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actual {
    /// As it is written in the condition.
    pub name: String,
    /// Its value, shortened.
    pub value: String,
}

impl Program {
    /// Whether the event meets every condition. A condition that cannot be computed is not met.
    #[must_use]
    pub fn matches(&self, env: &dyn Env) -> bool {
        let mut fuel = Fuel::default();
        self.conditions
            .iter()
            .all(|c| matches!(run(&c.op, env, &mut fuel).as_deref(), Ok(Value::Bool(true))))
    }

    /// Every condition with its outcome and the values that led to it.
    #[must_use]
    pub fn explain(&self, env: &dyn Env) -> Vec<ConditionResult> {
        let mut fuel = Fuel::default();
        self.conditions
            .iter()
            .map(|c| ConditionResult {
                text: c.text.clone(),
                outcome: run(&c.op, env, &mut fuel).and_then(|value| match *value {
                    Value::Bool(b) => Ok(b),
                    ref other => Err(Fault::Wanted("a boolean", other.kind().name())),
                }),
                actual: c
                    .names
                    .iter()
                    .map(|(name, op)| Actual {
                        name: name.clone(),
                        value: match run(op, env, &mut Fuel::default()) {
                            Ok(value) => value.to_string(),
                            Err(fault) => fault.to_string(),
                        },
                    })
                    .collect(),
            })
            .collect()
    }
}

/// A checked expression whose value groups events.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub(crate) op: Op,
}

impl Key {
    /// The key of an event: equal values have equal keys.
    pub fn of(&self, env: &dyn Env) -> Result<String, Fault> {
        const KEY_BYTES_MAX: usize = 256;
        let value = run(&self.op, env, &mut Fuel::default())?;
        let key = match &*value {
            Value::Text(text) => text.clone(),
            Value::Bytes(bytes) => match bytes.len() {
                20 => value.to_string(),
                _ => hex::encode(bytes),
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Decimal(_) => value.to_string(),
            other => return Err(Fault::Wanted("a single value", other.kind().name())),
        };
        if key.len() <= KEY_BYTES_MAX {
            return Ok(key);
        }
        Ok(neofn_types::Digest::of(key.as_bytes()).to_string())
    }
}
