//! Byte offsets to lines and columns, both from 1, columns in characters.

/// A place and how far it extends on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: u32,
    pub column: u32,
    pub length: u32,
}

/// The line starts of one text.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(
            text.bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'\n')
                .map(|(i, _)| i.saturating_add(1)),
        );
        Self { text, starts }
    }

    /// The place of `start..end`; offsets past the end or inside a character are moved to where they make sense.
    pub fn place(&self, start: usize, end: usize) -> Place {
        let start = floor(self.text, start);
        let end = floor(self.text, end.max(start));
        let row = self.starts.partition_point(|s| *s <= start).saturating_sub(1);
        let line_start = self.starts.get(row).copied().unwrap_or(0);
        let line_end = self
            .starts
            .get(row.saturating_add(1))
            .map_or(self.text.len(), |next| next.saturating_sub(1));
        let chars = |from: usize, to: usize| self.text.get(from..to).map_or(0, |t| t.chars().count());
        Place {
            line: count(row.saturating_add(1)),
            column: count(chars(line_start, start).saturating_add(1)),
            length: count(chars(start, end.min(line_end)).max(1)),
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_spans_stay_on_their_line() {
        let lines = Lines::new("ä = b\r\nccc\n");
        assert_eq!(
            lines.place(3, 4),
            Place {
                line: 1,
                column: 3,
                length: 1
            }
        );
        assert_eq!(
            lines.place(8, 200),
            Place {
                line: 2,
                column: 1,
                length: 3
            }
        );
        assert_eq!(
            lines.place(1, 1),
            Place {
                line: 1,
                column: 1,
                length: 1
            }
        );
        assert_eq!(lines.place(999, 999).line, 3);
    }
}
