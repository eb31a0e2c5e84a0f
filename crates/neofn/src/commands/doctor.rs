//! `neofn doctor`

use crate::cli::{Doctor, Global};
use crate::doctor::{Finding, State, checks};
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui};
use serde::Serialize;

/// All findings, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    success: bool,
    findings: &'a [Finding],
}

/// Looks at everything; 1 when something is wrong that was not mended.
pub fn run(global: &Global, ui: &Ui, args: &Doctor) -> Result<Exit, Failure> {
    let scene = crate::doctor::Scene {
        global,
        data: &args.data,
        fix: args.fix,
    };
    let mut findings = Vec::new();
    for check in checks() {
        findings.extend(check(&scene));
    }
    let success = findings.iter().all(|f| f.state != State::Bad);
    if ui.json {
        ui.document(&Document {
            success,
            findings: &findings,
        });
    } else {
        for finding in &findings {
            show(ui, finding);
        }
    }
    Ok(if success { Exit::Done } else { Exit::Failed })
}

fn show(ui: &Ui, finding: &Finding) {
    let (word, tone) = match finding.state {
        State::Good => ("ok   ", Tone::Good),
        State::Info => ("info ", Tone::Plain),
        State::Fixed => ("fixed", Tone::Good),
        State::Warn => ("warn ", Tone::Warn),
        State::Bad => ("bad  ", Tone::Bad),
    };
    ui.say(tone, &format!("{word} {:<18} {}", finding.name, finding.detail));
    if !finding.cure.is_empty() {
        ui.note(&format!("      help: {}", finding.cure));
    }
}
