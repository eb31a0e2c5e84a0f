//! Simulations: dice that a seed throws, and the seeds that are run, many or one of them again.

use std::ops::Range;

/// SplitMix64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// Always the same throws for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// One of the first `n` numbers.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    /// Takes one out.
    pub fn pick<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let n = u64::try_from(from.len()).expect("a small number");
        (n > 0).then(|| from.swap_remove(usize::try_from(self.below(n)).expect("a small number")))
    }
}

/// The seeds to run: `NEOFN_SIM_SEED=42` names the one, `NEOFN_SIM_SEEDS=100000` says how many; without them the first
/// `usual`.
#[must_use]
pub fn seeds(usual: u64) -> Range<u64> {
    let set = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    match set("NEOFN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..set("NEOFN_SIM_SEEDS").unwrap_or(usual),
    }
}

/// Runs a simulation with each seed; says of one that fails how it is repeated.
pub fn simulate(usual: u64, one: fn(u64)) {
    for seed in seeds(usual) {
        let run = std::panic::catch_unwind(|| one(seed));
        assert!(run.is_ok(), "repeat with NEOFN_SIM_SEED={seed}");
    }
}
