//! Where a span lies in a text, and the lines around it with a marker. Knows no file format.

use std::ops::Range;

/// Lines shown before and after the place.
const CONTEXT_LINES: usize = 2;
/// Longest part of a line shown; minified sources have lines of megabytes.
const WIDTH_MAX: usize = 120;

/// A place in a text; lines and columns count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// Characters of the span on its first line, 1 at the least.
    pub length: u32,
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

impl Place {
    /// Finds the bytes `span` in `text`; a span outside the text lands at its end.
    #[must_use]
    pub fn find(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let (before, rest) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let spanned = rest.get(..end - start).unwrap_or("");
        let first_line = spanned.split('\n').next().unwrap_or("").trim_end_matches('\r');
        Self {
            line: count(before.matches('\n').count() + 1),
            column: count(before.get(line_start..).unwrap_or("").chars().count() + 1),
            length: count(first_line.chars().count().max(1)),
        }
    }
}

/// The lines around `place`, numbered, with a marker under it.
#[must_use]
pub fn frame(text: &str, place: Place) -> String {
    let at = usize::try_from(place.line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let column = usize::try_from(place.column).unwrap_or(1).saturating_sub(1);
    let length = usize::try_from(place.length).unwrap_or(1);
    // A long line is shown from a little before the place.
    let from = if column > WIDTH_MAX - 40 { column - 40 } else { 0 };
    let first = at.saturating_sub(CONTEXT_LINES);
    let width = (at + CONTEXT_LINES + 1).to_string().len();
    let mut out = String::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .skip(first)
        .take(at + CONTEXT_LINES + 1 - first)
    {
        let shown: String = line
            .chars()
            .skip(from)
            .take(WIDTH_MAX)
            .map(|c| if c == '\t' || c.is_control() { ' ' } else { c })
            .collect();
        let mark = if number == at { '>' } else { ' ' };
        out.push_str(format!("{mark} {:>width$} | {shown}", number + 1).trim_end());
        out.push('\n');
        if number == at {
            let carets = length.min(WIDTH_MAX - (column - from).min(WIDTH_MAX - 1));
            out.push_str(&format!(
                "  {:width$} | {}{}\n",
                "",
                " ".repeat(column - from),
                "^".repeat(carets.max(1))
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_the_marker_stands_under_it() {
        let text = "a = 1\nä = \"öö\" # x\nb = 2\n";
        let start = text.find("\"öö").expect("is there");
        let place = Place::find(text, start..start + 6);
        assert_eq!(
            place,
            Place {
                line: 2,
                column: 5,
                length: 4
            }
        );
        assert_eq!(
            frame(text, place),
            "  1 | a = 1\n> 2 | ä = \"öö\" # x\n    |     ^^^^\n  3 | b = 2\n"
        );
    }

    #[test]
    fn spans_beyond_the_text_and_inside_a_character_do_no_harm() {
        for (a, b) in [(0, 0), (1, 1), (99, 200), (2, 1)] {
            let place = Place::find("ä\n", a..b);
            let _ = frame("ä\n", place);
            assert!(place.length >= 1);
        }
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut() {
        let text = format!("{}!{}", "x".repeat(500_000), "y".repeat(500_000));
        let shown = frame(&text, Place::find(&text, 500_000..500_001));
        assert!(shown.len() < 400 && shown.contains('!'));
    }
}
