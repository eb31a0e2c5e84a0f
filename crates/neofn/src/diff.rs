//! Differences between two short lists of lines. Knows nothing of functions.

/// Lines of either side that are compared one by one; the work grows with the product.
const LINES_MAX: usize = 1_500;

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// On both sides.
    Same(&'a str),
    /// Only before.
    Gone(&'a str),
    /// Only after.
    New(&'a str),
}

/// The shortest way from `before` to `after`; for very long lists, all of the one and all of the other.
#[must_use]
pub fn lines<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    if before.len() > LINES_MAX || after.len() > LINES_MAX {
        return before
            .iter()
            .map(|l| Line::Gone(l))
            .chain(after.iter().map(|l| Line::New(l)))
            .collect();
    }
    // common[i][j]: the longest common sequence of before[i..] and after[j..]
    let width = after.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, left) in before.iter().enumerate().rev() {
        for (j, right) in after.iter().enumerate().rev() {
            let best = if left == right {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (before.get(i), after.get(j)) {
            (Some(left), Some(right)) if left == right => {
                out.push(Line::Same(left));
                i += 1;
                j += 1;
            }
            (Some(left), right) if right.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                out.push(Line::Gone(left));
                i += 1;
            }
            (_, Some(right)) => {
                out.push(Line::New(right));
                j += 1;
            }
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, lines};

    #[test]
    fn the_shortest_way_is_found() {
        assert_eq!(
            lines(&["a", "b", "c"], &["a", "x", "c", "d"]),
            [
                Line::Same("a"),
                Line::Gone("b"),
                Line::New("x"),
                Line::Same("c"),
                Line::New("d")
            ]
        );
        assert_eq!(lines(&[], &["a"]), [Line::New("a")]);
        assert_eq!(lines(&["a"], &[]), [Line::Gone("a")]);
        assert!(lines(&[], &[]).is_empty());
        let many = vec!["x"; 5_000];
        assert_eq!(lines(&many, &["x"]).len(), 5_001);
    }
}
