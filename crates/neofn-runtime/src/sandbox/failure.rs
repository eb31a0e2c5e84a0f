//! From what the guest or the engine says of an end to a failure of the catalogue.

use crate::port::{Failure, Frame};
use neofn_types::Code;
use wasmtime::Trap;

const MESSAGE_MAX: usize = 4 << 10;
const FRAMES_MAX: usize = 50;

/// Why the host stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A charge that the budget does not hold.
    Units,
    /// The process has no memory left, and this run holds the most.
    Memory,
}

/// A failure without a stack.
pub fn plain(code: Code, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
        stack: Vec::new(),
    }
}

/// What the guest reported. Any code but those that a guest can know of is an uncaught exception.
pub fn thrown(number: u32, name: &str, message: &str, stack: &str) -> Failure {
    let code = match number {
        101..=103 | 105 | 201 | 204..=208 | 210 | 211 | 214..=216 | 501..=599 => {
            format!("NF{number:04}").parse().unwrap_or(Code::Uncaught)
        }
        _ => Code::Uncaught,
    };
    let mut text = match (name, message) {
        ("", message) => message.to_owned(),
        (name, "") => name.to_owned(),
        ("Uncaught", message) => format!("Uncaught {message}"),
        (name, message) => format!("{name}: {message}"),
    };
    // there was no memory left to say more
    if code == Code::MemoryLimit && (text.is_empty() || name == "Uncaught") {
        "out of memory".clone_into(&mut text);
    }
    truncate(&mut text, MESSAGE_MAX);
    Failure {
        code,
        message: text,
        stack: stack.lines().filter_map(frame).take(FRAMES_MAX).collect(),
    }
}

/// What ended a run that the guest said nothing of.
pub fn trapped(error: &wasmtime::Error, stop: Option<Stop>, stack_pointer: Option<i32>) -> Failure {
    if stop == Some(Stop::Units) {
        return unit_limit();
    }
    if stop == Some(Stop::Memory) {
        return evicted();
    }
    // the C stack lies at the bottom of memory: running out of it ends below address 0
    let below_stack = stack_pointer.is_some_and(|sp| !(16 << 10..=1 << 20).contains(&sp));
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => unit_limit(),
        Some(Trap::Interrupt) => time_out(),
        Some(Trap::StackOverflow) => stack_overflow(),
        Some(Trap::MemoryOutOfBounds) if below_stack => stack_overflow(),
        // no detail: what an engine's defect looks like is nobody's business but ours
        _ => plain(Code::Internal, "the JavaScript engine failed"),
    }
}

/// NF0203
pub fn unit_limit() -> Failure {
    plain(Code::UnitLimit, "the run used up its units")
}
/// NF0202
pub fn time_out() -> Failure {
    plain(Code::TimedOut, "the run took longer than its time limit")
}
/// NF0305; what it comes from: see [`super::Budget`].
pub fn evicted() -> Failure {
    plain(
        Code::Overloaded,
        "the node ran out of memory for running functions, and this run held the most of it",
    )
}
fn stack_overflow() -> Failure {
    plain(
        Code::StackOverflow,
        "RangeError: Maximum call stack size exceeded",
    )
}

/// `    at handler (fn.js:1:162)`, `    at fn.js:1:5`; frames of the engine itself are left out.
fn frame(line: &str) -> Option<Frame> {
    let rest = line.trim().strip_prefix("at ")?;
    let (function, place) = match rest.rsplit_once(" (") {
        Some((function, place)) => (function, place.strip_suffix(')')?),
        None => ("", rest),
    };
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    if file != "fn.js" {
        return None;
    }
    Some(Frame {
        function: if function == "<anonymous>" {
            String::new()
        } else {
            function.chars().take(200).collect()
        },
        file: file.to_owned(),
        line: line.parse().ok()?,
        column: column.parse().ok()?,
    })
}

fn truncate(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_engine_frames_left_out() {
        let failure = thrown(
            201,
            "TypeError",
            "x",
            "    at inner (fn.js:1:20)\n    at call (native)\n    at log (neofn:3:4)\n    at <anonymous> (fn.js:2:5)\n",
        );
        assert_eq!(failure.message, "TypeError: x");
        let at: Vec<_> = failure
            .stack
            .iter()
            .map(|f| (f.function.as_str(), f.line, f.column))
            .collect();
        assert_eq!(at, [("inner", 1, 20), ("", 2, 5)]);
    }

    #[test]
    fn a_guest_cannot_name_codes_that_are_the_hosts() {
        assert_eq!(thrown(203, "", "x", "").code, Code::Uncaught);
        assert_eq!(thrown(301, "", "x", "").code, Code::Uncaught);
        assert_eq!(thrown(501, "", "x", "").code, Code::KvConflict);
        assert_eq!(thrown(u32::MAX, "", "x", "").code, Code::Uncaught);
    }
}
