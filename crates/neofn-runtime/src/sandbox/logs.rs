//! Console lines of a run, bounded in bytes.
//!
//! Every byte of a line as it is kept counts, its level too: so the bound also bounds how many lines there are, and
//! what is not UTF-8 counts as what replaces it.

const LEVELS: [&str; 5] = ["[LOG] ", "[INFO] ", "[WARN] ", "[ERROR] ", "[DEBUG] "];

/// Keeps the first lines that fit, counts the rest.
pub struct Logs {
    lines: Vec<String>,
    most: u32,
    left: usize,
    cut: u64,
}

impl Logs {
    /// Room for `most` bytes.
    pub fn new(most: u32) -> Self {
        Self {
            lines: Vec::new(),
            most,
            left: most as usize,
            cut: 0,
        }
    }
    /// Adds a line. The first one that does not fit is shortened; it and all after it count as cut.
    pub fn push(&mut self, level: u32, text: &[u8]) {
        if self.cut > 0 {
            self.cut += 1;
            return;
        }
        let prefix = LEVELS.get(level as usize).copied().unwrap_or("[LOG] ");
        let Some(room) = self.left.checked_sub(prefix.len()) else {
            self.cut = 1;
            return;
        };
        // text never gets shorter by being mended: what lies beyond the room need not be seen to know that it is cut
        let seen = text.get(..room.saturating_add(1)).unwrap_or(text);
        let seen = String::from_utf8_lossy(seen);
        let kept = seen.get(..seen.floor_char_boundary(room)).unwrap_or_default();
        self.left = room - kept.len();
        if kept.len() < seen.len() {
            self.cut = 1;
            if kept.is_empty() {
                return;
            }
        }
        let mut line = String::with_capacity(prefix.len() + kept.len());
        line.push_str(prefix);
        line.push_str(kept);
        self.lines.push(line);
    }
    /// The lines, and a last one that says how many were cut.
    pub fn finish(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        if self.cut > 0 {
            lines.push(format!(
                "[WARN] the log limit of {} bytes was reached: {} line{} cut",
                self.most,
                self.cut,
                if self.cut == 1 { " was" } else { "s were" }
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_once_the_room_is_used_up_and_says_how_many() {
        let mut logs = Logs::new(20);
        logs.push(0, b"hello");
        logs.push(1, b"a long line that does not fit");
        logs.push(4, b"x");
        assert_eq!(
            logs.finish(),
            [
                "[LOG] hello",
                "[INFO] a ",
                "[WARN] the log limit of 20 bytes was reached: 2 lines were cut"
            ]
        );
    }

    fn kept(most: u32, first: &[u8], then: &[u8], times: usize) -> (usize, usize, String) {
        let mut logs = Logs::new(most);
        logs.push(0, first);
        for _ in 0..times {
            logs.push(0, then);
        }
        let mut lines = logs.finish();
        let last = lines.pop().unwrap();
        (lines.iter().map(String::len).sum(), lines.len(), last)
    }

    #[test]
    fn empty_lines_need_room_too() {
        // uses the room up to the last byte, or leaves less than an empty line needs
        for first in [94, 93, 90] {
            let (bytes, lines, last) = kept(100, &vec![b'x'; first], b"", 1_000);
            assert!(
                bytes <= 100 && lines == 1,
                "{first}: {lines} lines of {bytes} bytes"
            );
            assert!(last.ends_with("1000 lines were cut"), "{last}");
        }
        let (bytes, lines, last) = kept(100, b"", b"", 1_000);
        assert_eq!((bytes, lines), (96, 16));
        assert!(last.ends_with("985 lines were cut"), "{last}");
    }

    #[test]
    fn what_is_mended_counts_as_it_is_kept() {
        let (bytes, lines, last) = kept(100, &[0xff; 90], &[0xff; 90], 3);
        assert_eq!((bytes, lines), (6 + 31 * 3, 1));
        assert!(last.ends_with("4 lines were cut"), "{last}");
        // cut within a character
        let (bytes, lines, _) = kept(10, "ab€".as_bytes(), b"", 0);
        assert_eq!((bytes, lines), (8, 1));
    }
}
