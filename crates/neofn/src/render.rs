//! Problems, findings, units and runs in words. Decides no colours and writes nothing by itself but through the UI.

use crate::ui::{Tone, Ui};
use neofn_wire::{DiagnosticView, Problem, UnitsView};

/// `1234567` as `1 234 567`: counts are long here.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `12 345 units (base 10 000, compute 2 000, memory 0, host 345)`
#[must_use]
pub fn units(units: &UnitsView) -> String {
    format!(
        "{} units (base {}, compute {}, memory {}, host {})",
        grouped(units.total),
        grouped(units.base),
        grouped(units.compute),
        grouped(units.memory),
        grouped(units.host)
    )
}

/// `1.23 ms`
#[must_use]
pub fn millis(ms: f64) -> String {
    if ms < 1_000.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{:.2} s", ms / 1_000.0)
    }
}

/// `12.3 KiB`
#[must_use]
pub fn bytes(n: usize) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{}.{} KiB", n / 1_024, n % 1_024 * 10 / 1_024),
        _ => format!("{}.{} MiB", n / 1_048_576, n % 1_048_576 * 10 / 1_048_576),
    }
}

/// The console lines of a run; a line that holds several is indented, so that it cannot pass for another.
pub fn logs(ui: &Ui, lines: &[String]) {
    for line in lines {
        for (at, part) in line.split('\n').enumerate() {
            if at == 0 {
                ui.say(Tone::Dim, part)
            } else {
                ui.say(Tone::Dim, &format!("      {part}"))
            }
        }
    }
}

/// A finding with its code frame.
pub fn finding(ui: &Ui, finding: &DiagnosticView) {
    let tone = if finding.severity == "error" {
        Tone::Bad
    } else {
        Tone::Warn
    };
    let place = match finding.line {
        0 => finding.file.clone(),
        line => format!("{}:{line}:{}", finding.file, finding.column),
    };
    ui.say(
        tone,
        &format!("{}[{}]: {}", finding.severity, finding.code, finding.message),
    );
    if !place.is_empty() {
        ui.note(&format!("  --> {place}"));
    }
    ui.block(Tone::Plain, &finding.frame);
    if !finding.hint.is_empty() {
        ui.note(&format!("  help: {}", finding.hint));
    }
}

/// A failure: findings or the run's own traces first, what to do last.
pub fn problem(ui: &Ui, problem: &Problem) {
    logs(ui, problem.logs.as_deref().unwrap_or_default());
    let findings = problem.diagnostics.as_deref().unwrap_or_default();
    for each in findings {
        finding(ui, each);
    }
    let code = if problem.code.is_empty() {
        "NF0901"
    } else {
        &problem.code
    };
    // A refusal with one finding says the same in its summary.
    let said = matches!(findings, [one] if one.code == *code && one.message == problem.message);
    if !said {
        ui.say(Tone::Bad, &format!("error[{code}]: {}", problem.message));
    }
    for line in problem.stack.as_deref().unwrap_or_default() {
        ui.say(Tone::Dim, &format!("    {}", line.trim_start()));
    }
    if let Some(frame) = &problem.frame {
        ui.block(Tone::Plain, frame);
    }
    // A finding's own hint is more exact than the summary's.
    if !problem.hint.is_empty() && findings.is_empty() {
        ui.note(&format!("  help: {}", problem.hint));
    }
    if let Some(stage) = &problem.stage {
        ui.note(&format!("  stage: {stage}; what was live before still is"));
    }
    if let Some(units) = &problem.units {
        let id = problem.invocation_id.as_deref().unwrap_or("-");
        let took = problem
            .duration
            .map(|ms| format!("{}, ", millis(ms)))
            .unwrap_or_default();
        ui.say(
            Tone::Dim,
            &format!("  {took}{}, invocation {id}", self::units(units)),
        );
    }
    ui.note(&format!("  more: neofn explain {code}"));
}

/// Columns as wide as their longest cell, two spaces between them.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| in_one_line(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, &width) in cells.zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A cell in one line: what strangers wrote, such as the memo of a deposit, must neither look like another row nor say
/// anything to the terminal.
fn in_one_line(cell: &str) -> String {
    let mut line = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '\u{2028}'
            | '\u{2029}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                line.extend(c.escape_unicode());
            }
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{bytes, grouped, millis, table};

    #[test]
    fn what_strangers_wrote_stays_in_its_cell() {
        let rows = [vec!["a\nb  1000 GAS".to_owned(), "\u{1b}[2J\u{202e}é".to_owned()]];
        let shown = table(&["MEMO", "MORE"], &rows);
        let expected = "MEMO            MORE\na\\nb  1000 GAS  \\u{1b}[2J\\u{202e}é";
        assert_eq!(shown, expected);
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)],
            ["0", "999", "1 000", "12 345 678"]
        );
        assert_eq!(
            [bytes(1_023), bytes(1_536), bytes(3 << 20)],
            ["1023 B", "1.5 KiB", "3.0 MiB"]
        );
        assert_eq!([millis(1.234), millis(1_500.0)], ["1.23 ms", "1.50 s"]);
    }
}
