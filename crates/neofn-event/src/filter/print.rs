//! From the tree back to text: what is printed reads back as the same tree.

use super::ast::{BinaryOp, Expr, Literal, Node};
use std::fmt;

/// Binds tighter than every operator.
const ATOM: u8 = 9;
/// How tightly the minus of a number binds.
const NEGATE: u8 = 7;
/// How tightly `not` binds.
const NOT: u8 = 3;

impl Expr {
    fn precedence(&self) -> u8 {
        match &self.node {
            Node::Binary(op, ..) => op.precedence(),
            Node::Not(_) => NOT,
            Node::Negate(_) => NEGATE,
            _ => ATOM,
        }
    }
}

/// Prints `expr`, in parentheses when it binds less tightly than `least`.
fn inside(f: &mut fmt::Formatter<'_>, expr: &Expr, least: u8) -> fmt::Result {
    if expr.precedence() < least {
        write!(f, "({expr})")
    } else {
        write!(f, "{expr}")
    }
}

fn items(f: &mut fmt::Formatter<'_>, items: &[Expr]) -> fmt::Result {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Literal(literal) => write!(f, "{literal}"),
            Node::Name(name) => f.write_str(name),
            Node::Member(of, name) => {
                member_base(f, of)?;
                write!(f, ".{name}")
            }
            Node::Index(of, index) => {
                member_base(f, of)?;
                write!(f, "[{index}]")
            }
            Node::Call(name, args) => {
                write!(f, "{name}(")?;
                items(f, args)?;
                f.write_str(")")
            }
            Node::List(list) => {
                f.write_str("[")?;
                items(f, list)?;
                f.write_str("]")
            }
            Node::Not(inner) => {
                f.write_str("not ")?;
                inside(f, inner, NOT)
            }
            Node::Negate(inner) => {
                f.write_str("-")?;
                inside(f, inner, NEGATE)
            }
            Node::Binary(op, left, right) => {
                let own = op.precedence();
                // operators group to the left; comparisons do not group at all
                inside(f, left, if op.compares() { own + 1 } else { own })?;
                write!(f, " {} ", op.text())?;
                inside(f, right, own + 1)
            }
        }
    }
}

/// A number with a point behind it would read as a fraction.
fn member_base(f: &mut fmt::Formatter<'_>, of: &Expr) -> fmt::Result {
    match &of.node {
        Node::Literal(Literal::Int(_) | Literal::Decimal(_)) => write!(f, "({of})"),
        _ => inside(f, of, ATOM),
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Decimal(n) => write!(f, "{n}"),
            Self::Text(text) => {
                f.write_str("'")?;
                for c in text.chars() {
                    match c {
                        '\'' => f.write_str("\\'")?,
                        '\\' => f.write_str("\\\\")?,
                        '\n' => f.write_str("\\n")?,
                        '\t' => f.write_str("\\t")?,
                        '\r' => f.write_str("\\r")?,
                        c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                        c => write!(f, "{c}")?,
                    }
                }
                f.write_str("'")
            }
            Self::Hash160(hash) => write!(f, "{hash}"),
            Self::Hash256(bytes) => {
                let mut shown = *bytes;
                shown.reverse();
                write!(f, "0x{}", hex::encode(shown))
            }
        }
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
