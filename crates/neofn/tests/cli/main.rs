//! The command line as a person sees it: standard output, standard error and exit code, kept as snapshots.
#![allow(clippy::disallowed_methods, reason = "a test waits for the real world")]
#![cfg(test)]

mod chain;
mod deploy;
mod local;
mod mock;
mod node;
mod remote;
mod run;
