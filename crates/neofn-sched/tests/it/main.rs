//! The parts of this crate together.

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "all numbers of the simulation are small"
)]
mod simulation;
