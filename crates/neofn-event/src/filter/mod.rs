//! The language of `where`: small, typed, checked before anything runs, bounded in every direction.
//!
//! Text becomes an [`Expression`] ([`parse`]), which a [`Scope`] turns into a [`Program`] ([`check`]), which is run
//! against an [`Env`]. A program cannot loop, allocate without bound or fail otherwise than with a [`Fault`].

mod ast;
mod check;
mod decimal;
mod error;
mod eval;
mod field;
mod fold;
mod function;
mod parse;
mod print;
mod program;
mod scope;
mod token;
mod value;

pub use ast::{BinaryOp, Expr, Literal, Node};
pub use check::{check_condition, check_key};
pub use decimal::Decimal;
pub use error::FilterError;
pub use eval::{Env, Fault};
pub use field::Field;
pub use function::Function;
pub use parse::{Expression, NODES_MAX, SOURCE_BYTES_MAX};
pub use program::{Actual, ConditionResult, Key, Program};
pub use scope::{Abi, Lookup, Parameter, ParameterType, Parameters, Scope};
pub use value::{Type, Value};
