//! Sets of characters as sorted ranges: enough to ask whether two parts of a pattern can match the same character.

/// Inclusive ranges of code points, sorted and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set(Vec<(u32, u32)>);

const LAST: u32 = 0x10_ffff;

impl Set {
    pub fn all() -> Self {
        Self(vec![(0, LAST)])
    }
    pub fn of(ranges: &[(u32, u32)]) -> Self {
        let mut set = Self(ranges.to_vec());
        set.normalise();
        set
    }
    pub fn one(c: char) -> Self {
        Self(vec![(u32::from(c), u32::from(c))])
    }
    pub fn digits() -> Self {
        Self::of(&[(48, 57)])
    }
    pub fn word() -> Self {
        Self::of(&[(48, 57), (65, 90), (95, 95), (97, 122)])
    }
    pub fn space() -> Self {
        Self::of(&[
            (9, 13),
            (32, 32),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0xfeff, 0xfeff),
        ])
    }
    pub fn dot() -> Self {
        Self::of(&[(10, 10), (13, 13), (0x2028, 0x2029)]).inverted()
    }
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.normalise();
    }
    pub fn inverted(&self) -> Self {
        let (mut out, mut next) = (Vec::new(), 0_u32);
        for &(low, high) in &self.0 {
            if let Some(before) = low.checked_sub(1).filter(|b| *b >= next) {
                out.push((next, before));
            }
            next = high.saturating_add(1);
        }
        if next <= LAST {
            out.push((next, LAST));
        }
        Self(out)
    }
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0
            .iter()
            .any(|a| other.0.iter().any(|b| a.0 <= b.1 && b.0 <= a.1))
    }
    /// Letters in both cases, for the flag `i`.
    pub fn both_cases(&self) -> Self {
        let mut set = self.clone();
        for &(low, high) in &self.0 {
            for (from, to, other) in [(65_u32, 90_u32, 97_u32), (97, 122, 65)] {
                let (a, b) = (low.max(from), high.min(to));
                if a <= b {
                    let shift = |c: u32| c.saturating_sub(from).saturating_add(other);
                    set.0.push((shift(a), shift(b)));
                }
            }
        }
        set.normalise();
        set
    }
    fn normalise(&mut self) {
        self.0.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for &(low, high) in &self.0 {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        self.0 = merged;
    }
}
