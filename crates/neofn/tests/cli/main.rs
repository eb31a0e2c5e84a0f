//! The command line as a person sees it: standard output, standard error and exit code, kept as snapshots.
#![cfg(test)]

mod deploy;
mod local;
mod mock;
mod node;
mod remote;
mod run;
