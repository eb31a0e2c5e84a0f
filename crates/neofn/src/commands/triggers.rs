//! `neofn triggers`: where each stands, and what it would do.

use crate::cli::Global;
use crate::cli::chain::{Backtest, Resume, TriggerCommand, TriggerName, TriggerTest, Triggers};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render::{self, grouped};
use crate::ui::{Tone, Ui, visible};
use neofn_types::Datoshi;
use neofn_wire::{BacktestRequest, BacktestView, CandidateView, TriggerPatch};
use serde_json::Value;

/// Most characters of an event in a line.
const EVENT_CHARS_MAX: usize = 160;

/// Runs a command.
pub fn run(global: &Global, ui: &Ui, args: &Triggers) -> Result<Exit, Failure> {
    match &args.command {
        None => list(global, ui, args.function.as_deref()),
        Some(TriggerCommand::Test(args)) => test(global, ui, args),
        Some(TriggerCommand::Backtest(args)) => backtest(global, ui, args),
        Some(TriggerCommand::Pause(TriggerName { trigger })) => switch(global, ui, trigger, "paused", None),
        Some(TriggerCommand::Resume(Resume { trigger, latest })) => {
            switch(global, ui, trigger, "running", latest.then_some("latest"))
        }
    }
}

fn list(global: &Global, ui: &Ui, function: Option<&str>) -> Result<Exit, Failure> {
    let key = function
        .map(|name| context::function_key(global, name))
        .transpose()?;
    let project = match &key {
        Some(key) => key.project.clone(),
        None => context::project_name(global)?,
    };
    let list = context::client(global)?.triggers(&project, key.as_ref().map(|k| &k.function))?;
    if ui.json {
        ui.document(&list);
        return Ok(Exit::Done);
    }
    if list.triggers.is_empty() {
        ui.note("no triggers: a function gets them by `on` in neofn.toml");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .triggers
        .iter()
        .map(|t| {
            vec![
                format!("{}/{}", t.function, t.name),
                t.kind.clone(),
                t.status.clone(),
                t.lag.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                grouped(t.matched),
                grouped(t.skipped),
                t.matched_at.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    ui.out(&render::table(
        &["TRIGGER", "KIND", "STATUS", "LAG", "MATCHED", "SKIPPED", "LAST"],
        &rows,
    ));
    for t in &list.triggers {
        if let Some(reason) = &t.reason {
            ui.say(
                Tone::Warn,
                &format!("{}/{} is {}: {reason}", t.function, t.name, t.status),
            );
        }
    }
    Ok(Exit::Done)
}

fn test(global: &Global, ui: &Ui, args: &TriggerTest) -> Result<Exit, Failure> {
    let (key, trigger) = context::trigger_name(global, &args.trigger)?;
    let found =
        context::client(global)?.test_trigger(&key, &trigger, args.on.tx.as_deref(), args.on.block)?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    let verdict = match (found.matched, found.candidates.is_empty()) {
        (true, _) => "would fire".to_owned(),
        (false, true) => format!(
            "would not fire: there is nothing of kind {} that it looks at",
            found.kind
        ),
        (false, false) => "would not fire".to_owned(),
    };
    ui.out(&format!("{} {verdict}", found.trigger));
    for each in &found.candidates {
        ui.out(&candidate(each));
    }
    if found.left_out > 0 {
        ui.say(Tone::Dim, &format!("and {} more", found.left_out));
    }
    Ok(Exit::Done)
}

fn candidate(c: &CandidateView) -> String {
    let mut lines = vec![format!(
        "  {} {}",
        if c.matched { "+" } else { "-" },
        visible(&c.what)
    )];
    for condition in &c.conditions {
        let held = match (&condition.fault, condition.held) {
            (Some(fault), _) => format!("cannot be computed ({fault})"),
            (None, true) => "holds".to_owned(),
            (None, false) => "does not hold".to_owned(),
        };
        let actual = match condition.actual.as_slice() {
            [] => String::new(),
            values => format!(": {}", visible(&values.join(", "))),
        };
        lines.push(format!("      {} {held}{actual}", visible(&condition.text)));
    }
    lines.join("\n")
}

fn backtest(global: &Global, ui: &Ui, args: &Backtest) -> Result<Exit, Failure> {
    let (key, trigger) = context::trigger_name(global, &args.trigger)?;
    let client = context::client(global)?;
    let progress = ui.progress("reading blocks");
    let request = BacktestRequest {
        from: args.from,
        to: args.to,
    };
    let found = client.backtest(&key, &trigger, request);
    drop(progress);
    let found = found?;
    if ui.json {
        ui.document(&found);
        return Ok(Exit::Done);
    }
    ui.out(&format!(
        "{}: {} in blocks {} to {}",
        found.trigger,
        match found.matched {
            1 => "1 event".to_owned(),
            n => format!("{} events", grouped(n)),
        },
        found.from,
        found.to
    ));
    for sample in &found.samples {
        ui.out(&format!("  {}", event(sample)));
    }
    let more = found
        .matched
        .saturating_sub(u64::try_from(found.samples.len()).unwrap_or(0));
    if more > 0 {
        ui.out(&format!("  and {} more", grouped(more)));
    }
    estimate(ui, &found);
    Ok(Exit::Done)
}

/// The id, the block, and what an event says of itself.
fn event(sample: &Value) -> String {
    let data = sample.get("data").unwrap_or(&Value::Null);
    let height = data.pointer("/block/height").unwrap_or(&Value::Null);
    let name = data["event"].as_str().unwrap_or_default();
    let own = data.get("args").or(data.get("transaction")).map(Value::to_string);
    let own = own.unwrap_or_default();
    let mut text: String = own.chars().take(EVENT_CHARS_MAX).collect();
    if text.len() < own.len() {
        text.push('…');
    }
    let id = sample["id"].as_str().unwrap_or("-");
    visible(format!("{id} block {height} {name} {text}").trim_end()).into_owned()
}

fn estimate(ui: &Ui, found: &BacktestView) {
    if let (Some(each), Some(all)) = (found.units_each, found.units) {
        ui.out(&format!("units {} each, {} in all", grouped(each), grouped(all)));
        let gas = |text: &Option<String>| {
            let datoshi = text.as_deref().and_then(|t| t.parse().ok());
            datoshi.map_or_else(|| "-".to_owned(), |n| Datoshi(n).to_string())
        };
        ui.out(&format!(
            "fees  {} GAS each, {} GAS in all",
            gas(&found.fees_each),
            gas(&found.fees)
        ));
        ui.say(
            Tone::Dim,
            &format!(
                "estimated on {} of them, run without keeping anything, against the chain as it is now",
                found.measured
            ),
        );
    }
    if let Some(failure) = &found.failure {
        ui.say(Tone::Warn, &format!("a run on one of them failed: {failure}"));
    }
}

fn switch(global: &Global, ui: &Ui, name: &str, status: &str, from: Option<&str>) -> Result<Exit, Failure> {
    let (key, trigger) = context::trigger_name(global, name)?;
    let patch = TriggerPatch {
        status: status.to_owned(),
        from: from.map(str::to_owned),
    };
    let now = context::client(global)?.patch_trigger(&key, &trigger, &patch)?;
    if ui.json {
        ui.document(&now);
    } else {
        let lag = now.lag.filter(|n| *n > 0);
        let lag = lag.map_or_else(String::new, |n| format!(", {n} blocks behind"));
        ui.say(Tone::Good, &format!("{} is {}{lag}", now.id, now.status));
    }
    Ok(Exit::Done)
}
