//! The parts of this crate together.

#[cfg(test)]
mod simulation;
