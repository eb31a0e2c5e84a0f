//! Standard error as log lines: cut into lines, bounded, charged like a console call each.

/// Standard error of one run.
#[derive(Debug)]
pub(super) struct Lines {
    kept: Vec<String>,
    bytes_left: usize,
    open: Vec<u8>,
    cut: u64,
}

/// How each line begins: a module has no levels.
const PREFIX: &str = "[LOG] ";

impl Lines {
    pub(super) fn new(bytes_max: u32) -> Self {
        Self {
            kept: Vec::new(),
            bytes_left: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            open: Vec::new(),
            cut: 0,
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
        // One byte more than is kept shows later that the line is too long.
        let room = (self.bytes_left + 1).saturating_sub(self.open.len());
        self.open.extend(bytes.iter().take(room));
    }
    fn close(&mut self) {
        let line = std::mem::take(&mut self.open);
        if line.len() + PREFIX.len() > self.bytes_left {
            // Nothing is kept after the first cut, so that what is kept has no holes.
            self.bytes_left = 0;
            self.cut += 1;
            return;
        }
        self.bytes_left -= line.len() + PREFIX.len();
        self.kept
            .push(format!("{PREFIX}{}", String::from_utf8_lossy(&line)));
    }
    /// All lines; the last one need not end with a line break.
    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.close();
        }
        if self.cut > 0 {
            self.kept.push(format!(
                "[WARN] {} more log lines were cut: the limit is reached",
                self.cut
            ));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_limit_and_counted() {
        let mut lines = Lines::new(30);
        lines.write(b"one\ntw");
        lines.write(b"o\n\xff\nthis one is far too long to be kept\n");
        lines.write(b"never\nopen");
        let expected = [
            "[LOG] one",
            "[LOG] two",
            "[LOG] \u{fffd}",
            "[WARN] 3 more log lines were cut: the limit is reached",
        ];
        assert_eq!(lines.finish(), expected);
        let mut lines = Lines::new(1000);
        lines.write(b"a\n\nb");
        assert_eq!(lines.finish(), ["[LOG] a", "[LOG] ", "[LOG] b"]);
    }
}
