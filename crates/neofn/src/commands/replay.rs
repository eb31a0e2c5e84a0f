//! `neofn replay`: the difference in result, logs and units, as data on standard output.

use crate::cli::{Global, Replay};
use crate::context;
use crate::diff::{Line, lines};
use crate::failure::{Exit, Failure};
use crate::render::grouped;
use crate::ui::Ui;
use neofn_types::Version;
use neofn_wire::{ReplayResponse, ReplaySide};

/// Replays an invocation.
pub fn run(global: &Global, ui: &Ui, args: &Replay) -> Result<Exit, Failure> {
    let client = context::client(global)?;
    let progress = ui.progress("replaying");
    let answer = client.replay(&args.id, args.on.map(Version));
    drop(progress);
    let answer = answer?;
    if ui.json {
        ui.document(&answer);
    } else {
        ui.out(&difference(&answer));
    }
    Ok(Exit::Done)
}

/// A result as lines: pretty JSON, or the error.
fn result(side: &ReplaySide) -> String {
    match (&side.result, &side.error) {
        (_, Some(error)) => format!("failed: {error}"),
        (Some(result), None) => serde_json::from_str::<serde_json::Value>(result.get())
            .ok()
            .and_then(|value| serde_json::to_string_pretty(&value).ok())
            .unwrap_or_else(|| result.get().to_owned()),
        (None, None) => "null".to_owned(),
    }
}

/// What a replay showed, in words.
pub fn difference(answer: &ReplayResponse) -> String {
    let (old, new) = (&answer.recorded, &answer.replayed);
    let mut out = vec![match answer.identical {
        true => format!(
            "identical: version {} gives the same result, logs and units",
            new.version
        ),
        false => format!(
            "version {} recorded, version {} replayed",
            old.version, new.version
        ),
    }];
    let (before, after) = (result(old), result(new));
    section(
        &mut out,
        "result",
        &before.lines().collect::<Vec<_>>(),
        &after.lines().collect::<Vec<_>>(),
    );
    let logs = |side: &ReplaySide| {
        side.logs
            .iter()
            .map(|l| l.replace('\n', "\\n"))
            .collect::<Vec<_>>()
    };
    let (before, after) = (logs(old), logs(new));
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    section(&mut out, "logs", &before, &after);
    units(&mut out, old, new);
    if let Some(diverged) = &answer.diverged {
        out.push(format!(
            "the code now asks for what the recording does not hold: {diverged}"
        ));
    }
    out.join("\n")
}

fn section(out: &mut Vec<String>, name: &str, before: &[&str], after: &[&str]) {
    if before == after {
        out.push(format!("{name:7} same ({} lines)", before.len()));
        return;
    }
    out.push(name.to_owned());
    out.extend(lines(before, after).into_iter().map(|line| match line {
        Line::Same(text) => format!("    {text}"),
        Line::Gone(text) => format!("  - {text}"),
        Line::New(text) => format!("  + {text}"),
    }));
}

fn units(out: &mut Vec<String>, old: &ReplaySide, new: &ReplaySide) {
    if old.units == new.units {
        out.push(format!("units   same ({})", grouped(old.units.total)));
        return;
    }
    out.push("units".to_owned());
    for (kind, before, after) in [
        ("total", old.units.total, new.units.total),
        ("base", old.units.base, new.units.base),
        ("compute", old.units.compute, new.units.compute),
        ("memory", old.units.memory, new.units.memory),
        ("host", old.units.host, new.units.host),
    ] {
        if before != after {
            let (sign, by) = if after > before {
                ('+', after - before)
            } else {
                ('-', before - after)
            };
            out.push(format!(
                "    {kind} {} -> {} ({sign}{})",
                grouped(before),
                grouped(after),
                grouped(by)
            ));
        }
    }
}
