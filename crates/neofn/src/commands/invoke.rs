//! `neofn invoke`: the result on standard output; logs, units and time on standard error.

use crate::cli::{Global, Invoke};
use crate::context;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_types::Code;
use neofn_wire::InvokeAnswer;
use serde::de::IgnoredAny;
use std::fs;
use std::io::Read;
use std::path::Path;

/// More than any event may have; the node says exactly what is too large.
const EVENT_BYTES_MAX: u64 = 8 << 20;

/// Invokes a function.
pub fn run(global: &Global, ui: &Ui, args: &Invoke) -> Result<Exit, Failure> {
    let event = event(args.event.as_deref())?;
    let key = context::function_key(global, &args.name)?;
    let client = context::client(global)?;
    let idempotency_key = args.idempotency_key.as_deref();
    if let Some(key) = idempotency_key
        && (key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(Failure::usage(
            "the idempotency key must have 1 to 255 visible ASCII characters",
            "use a UUID",
        ));
    }
    if args.queue {
        let accepted = client.invoke_async(&key, event.as_bytes(), idempotency_key)?;
        if ui.json {
            ui.document(&accepted);
        } else {
            ui.out(&accepted.invocation_id);
            ui.say(Tone::Dim, &format!("{key} {}", accepted.status));
        }
        return Ok(Exit::Done);
    }
    let progress = ui.progress(&format!("{key} runs"));
    let answer = client.invoke(&key, event.as_bytes(), idempotency_key);
    drop(progress);
    let answer = answer?;
    if ui.json {
        ui.document(&answer);
    } else {
        render::logs(ui, &answer.logs);
        ui.out(answer.result.get());
        ui.say(Tone::Dim, &summary(&key.to_string(), &answer));
    }
    Ok(Exit::Done)
}

/// `demo/hello version 3: 1.23 ms, 12 345 units (…), invocation 0193…`
pub fn summary(name: &str, answer: &InvokeAnswer) -> String {
    format!(
        "{name} version {}: {}, {}, invocation {}",
        answer.version,
        render::millis(answer.duration),
        render::units(&answer.units),
        answer.invocation_id
    )
}

/// The event that an argument means, as JSON.
pub fn event(argument: Option<&str>) -> Result<String, Failure> {
    let (text, source) = match argument {
        None => return Ok("null".to_owned()),
        Some("-") => (
            read(std::io::stdin().lock(), "standard input")?,
            "standard input".to_owned(),
        ),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => {
                let file = fs::File::open(path).map_err(|e| Failure::file(Path::new(path), "open", &e))?;
                (read(file, path)?, path.to_owned())
            }
            None => (text.to_owned(), "the event".to_owned()),
        },
    };
    if text.trim().is_empty() {
        return Ok("null".to_owned());
    }
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(reason) => Err(Failure::new(
            Code::MalformedJson,
            format!("{source} is not JSON: {reason}"),
            "quote it for the shell: neofn invoke hello '{\"name\":\"Neo\"}'",
        )),
    }
}

fn read(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(EVENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::file(Path::new(name), "read", &e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > EVENT_BYTES_MAX {
        return Err(Failure::new(
            Code::BodyTooLarge,
            format!("{name} is larger than {} bytes", EVENT_BYTES_MAX),
            "",
        ));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(
            Code::MalformedJson,
            format!("{name} is not UTF-8 text"),
            "JSON is UTF-8",
        )
    })
}
