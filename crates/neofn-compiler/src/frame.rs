//! Code frames: a few lines around a place with a marker, plain text, bounded in width whatever the source is.

const LINES_BEFORE: u32 = 2;
const LINES_AFTER: u32 = 1;
const WIDTH_CHARS_MAX: usize = 100;
const LEAD_CHARS: usize = 40;

/// The lines around `line:column` (from 1, in characters) with a marker under `length` characters and the message.
/// Empty when the place is not in the source. Long lines are cut around the place, so the frame of a source that is
/// one line of a megabyte is as short as any other.
#[must_use]
pub fn code_frame(source: &str, line: u32, column: u32, length: u32, message: &str) -> String {
    if line == 0 || column == 0 {
        return String::new();
    }
    let first = line.saturating_sub(LINES_BEFORE).max(1);
    let last = line.saturating_add(LINES_AFTER);
    let digits = last.to_string().len();
    let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let cut = if column >= WIDTH_CHARS_MAX {
        column.saturating_sub(LEAD_CHARS)
    } else {
        0
    };
    let skipped = usize::try_from(first).unwrap_or(usize::MAX).saturating_sub(1);
    let mut out = String::new();
    let mut met = false;
    for (number, text) in (first..=last).zip(source.split('\n').skip(skipped)) {
        let mark = if number == line { '>' } else { ' ' };
        let shown = window(text.trim_end_matches('\r'), cut);
        let row = format!("{mark} {number:>digits$} | {shown}");
        out.push_str(row.trim_end());
        out.push('\n');
        if number == line {
            met = true;
            let before = column
                .saturating_sub(cut)
                .saturating_add(if cut > 0 { 3 } else { 0 });
            let room = WIDTH_CHARS_MAX.saturating_sub(column.saturating_sub(cut)).max(1);
            let carets = usize::try_from(length).unwrap_or(usize::MAX).clamp(1, room);
            // A message may quote the source.
            let note: String = message
                .lines()
                .next()
                .unwrap_or("")
                .chars()
                .take(160)
                .map(visible)
                .collect();
            let row = format!(
                "  {:digits$} | {}{} {note}",
                "",
                " ".repeat(before),
                "^".repeat(carets)
            );
            out.push_str(row.trim_end());
            out.push('\n');
        }
    }
    if met { out } else { String::new() }
}

/// The characters of a line that are shown: control characters would let a source repaint a terminal.
fn window(line: &str, cut: usize) -> String {
    let mut shown = String::new();
    if cut > 0 {
        shown.push_str("...");
    }
    let mut rest = line.chars().skip(cut);
    shown.extend(rest.by_ref().take(WIDTH_CHARS_MAX).map(visible));
    if rest.next().is_some() {
        shown.push_str("...");
    }
    shown
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || is_bidi(c) => '\u{fffd}',
        c => c,
    }
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_place() {
        let source = "const a = 1;\nfunction f() {\n  throw x;\n}\n";
        assert_eq!(
            code_frame(source, 3, 9, 1, "not defined"),
            "  1 | const a = 1;\n  2 | function f() {\n> 3 |   throw x;\n    |         ^ not defined\n  4 | }\n"
        );
    }

    #[test]
    fn a_megabyte_on_one_line_gives_a_short_frame() {
        let source = "ä".repeat(1 << 20);
        let frame = code_frame(&source, 1, 500_000, 400_000, "here");
        assert!(frame.chars().count() < 400, "{frame}");
        assert!(frame.contains('^'));
    }

    #[test]
    fn nothing_outside_the_source_and_no_escape_codes() {
        assert_eq!(code_frame("a", 9, 1, 1, "x"), "");
        assert_eq!(code_frame("a", 0, 0, 0, "x"), "");
        assert!(!code_frame("a\u{1b}[2Jb", 1, 1, 1, "x").contains('\u{1b}'));
    }
}
