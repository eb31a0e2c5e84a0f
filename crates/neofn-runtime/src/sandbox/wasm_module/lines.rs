//! Standard error as log lines: cut into lines, bounded like the console of a JavaScript function.

use crate::sandbox::logs::Logs;

/// Standard error of one run.
pub(super) struct Lines {
    logs: Logs,
    open: Vec<u8>,
    open_max: usize,
}

/// `[LOG] `: a module has no levels.
const LEVEL: u32 = 0;

impl Lines {
    pub(super) fn new(bytes_max: u32) -> Self {
        Self {
            logs: Logs::new(bytes_max),
            open: Vec::new(),
            // one byte more than can be kept shows that the line is too long
            open_max: usize::try_from(bytes_max).unwrap_or(usize::MAX).saturating_add(1),
        }
    }
    /// Takes what was written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, after) = rest.split_at(end);
            self.extend(line);
            self.close();
            rest = after.get(1..).unwrap_or_default();
        }
        self.extend(rest);
    }
    fn extend(&mut self, bytes: &[u8]) {
        let room = self.open_max.saturating_sub(self.open.len());
        self.open.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
    fn close(&mut self) {
        self.logs.push(LEVEL, &self.open);
        self.open.clear();
    }
    /// All lines; the last one need not end with a line break.
    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.close();
        }
        self.logs.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_limit_and_counted() {
        let mut lines = Lines::new(40);
        lines.write(b"one\ntw");
        lines.write(b"o\n\xff\nthis one is far too long to be kept\n");
        lines.write(b"never\nopen");
        let expected = [
            "[LOG] one",
            "[LOG] two",
            "[LOG] \u{fffd}",
            "[LOG] this on",
            "[WARN] the log limit of 40 bytes was reached: 3 lines were cut",
        ];
        assert_eq!(lines.finish(), expected);
        let mut lines = Lines::new(1000);
        lines.write(b"a\n\nb");
        assert_eq!(lines.finish(), ["[LOG] a", "[LOG] ", "[LOG] b"]);
    }
}
