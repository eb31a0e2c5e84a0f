//! The hidden roles of the binary: `neofn __child ROLE …`. A child is confined before it does anything else, so this
//! must be the first thing that `main` does.

use crate::clock::{OsEntropy, SystemClock};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// The argument that makes a process a child.
pub const CHILD_ARGUMENT: &str = "__child";
const COMPILER: &str = "compiler";
pub(crate) const SIGNER: &str = "signer";
const INSECURE: &str = "--insecure-no-jail";

/// Plays the role that the arguments (the program's name first) ask for, if they ask for one.
#[must_use]
pub fn child_role(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != Path::new(CHILD_ARGUMENT) {
        return None;
    }
    let rest: Vec<OsString> = args.collect();
    if rest.first().is_some_and(|role| role == COMPILER) {
        let insecure = rest.iter().any(|a| a == INSECURE);
        return Some(neofn_compiler::child::main(
            Arc::new(SystemClock::new()),
            insecure.into(),
        ));
    }
    if let Some((role, rest)) = rest.split_first()
        && role == SIGNER
    {
        let with = neofn_chain::signer::Surroundings {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
        };
        return Some(neofn_chain::signer::main(rest, with));
    }
    Some(neofn_runtime::child::main(&rest))
}
