//! Console lines of a run, bounded in bytes.

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
        let room = self.left.saturating_sub(prefix.len());
        if text.len() > room {
            self.cut = 1;
            self.left = 0;
            if room == 0 {
                return;
            }
        } else {
            self.left = room - text.len();
        }
        let kept = text.get(..room.min(text.len())).unwrap_or(text);
        let mut line = String::with_capacity(prefix.len() + kept.len());
        line.push_str(prefix);
        line.push_str(&String::from_utf8_lossy(kept));
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
}
