//! One `[function.NAME]` table: its keys, what they may hold, and what this build does not have.

use crate::json::to_json;
use crate::walk::{Walk, shorten};
use crate::{FunctionConfig, FunctionLimits, SmokeTest};
use neofn_event::Triggers;
use neofn_types::{
    ChainGrant, ChainWrite, Code, FunctionName, Grants, RuntimeKind, SecretGrant, Units, parse_duration_ms,
    parse_memory,
};
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

pub(crate) const FUNCTION: &[&str] = &["main", "runtime", "public", "limits", "allow", "on", "test"];
pub(crate) const LIMITS: &[&str] = &["units", "time", "memory", "concurrency"];
pub(crate) const ALLOW: &[&str] = &["kv", "chain", "net", "secrets"];
const CHAIN: &[&str] = &["write"];
const WRITE: &[&str] = &["contracts", "gas"];
const CHAIN_EXAMPLE: &str = "chain = \"read\"";
const WRITE_EXAMPLE: &str = "chain = { write = { contracts = [\"0x…\"], gas = \"0.5\" } }";
pub(crate) const TEST: &[&str] = &["event", "expect"];
/// Grants that neofn knows by name and this build does not serve.
const ALLOW_ELSEWHERE: &[&str] = &["oracle", "tee"];
const NET_EXAMPLE: &str = "net = [\"https://api.example.org\"]";
const SECRETS_EXAMPLE: &str = "secrets = [\"API_KEY\"]";
const SECRET_EXAMPLE: &str = "secrets = [{ name = \"API_KEY\", plaintext = true }]";
const RUNTIMES: &[&str] = &["js", "wasm"];
const RUNTIMES_ELSEWHERE: &[&str] = &["deno", "python", "go", "plugin"];
/// As much as a path component may be on the systems we build for.
const PATH_BYTES_MAX: usize = 1_024;

/// Reads the table of function `name`; `None` when something was wrong, which is then among the findings.
pub(crate) fn read(
    walk: &mut Walk<'_>,
    key_span: &Range<usize>,
    name: &FunctionName,
    value: &Spanned<DeValue<'_>>,
) -> Option<FunctionConfig> {
    let before = walk.findings.len();
    let table = walk.table(name.as_str(), value, &format!("[function.{name}]"))?;
    let mut config = FunctionConfig {
        main: String::new(),
        runtime: RuntimeKind::Js,
        public: false,
        limits: FunctionLimits::default(),
        allow: Grants::default(),
        on: Triggers::default(),
        test: None,
    };
    let mut main_span = None;
    for (span, key, value) in Walk::members(table) {
        match key {
            "main" => {
                main_span = Some(value.span());
                config.main = main(walk, value).unwrap_or_default();
            }
            "runtime" => config.runtime = runtime(walk, value).unwrap_or(config.runtime),
            "public" => config.public = walk.boolean("public", value).unwrap_or(false),
            "limits" => config.limits = limits(walk, value),
            "allow" => config.allow = allow(walk, value),
            "on" => config.on = crate::on::on(walk, value),
            "test" => config.test = test(walk, &span, value),
            other => walk.unknown(span, other, &format!("[function.{name}]"), FUNCTION),
        }
    }
    match main_span {
        None => walk.wrong(
            key_span.clone(),
            format!("[function.{name}] has no `main`"),
            "add the file with the handler: `main = \"src/hello.ts\"`",
        ),
        Some(span) if config.runtime == RuntimeKind::Js && config.main.ends_with(".wasm") => {
            walk.wrong(
                span,
                "`main` is a WebAssembly module, but `runtime` is \"js\"",
                "add `runtime = \"wasm\"`",
            );
        }
        Some(span)
            if config.runtime == RuntimeKind::Wasm
                && !config.main.is_empty()
                && !config.main.ends_with(".wasm") =>
        {
            walk.wrong(
                span,
                "`runtime` is \"wasm\", but `main` is not a `.wasm` file",
                "name the compiled module: `main = \"build/hello.wasm\"`",
            );
        }
        Some(_) => {}
    }
    (walk.findings.len() == before).then_some(config)
}

/// A path that stays inside the project, whatever system reads it.
fn main(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let text = walk.string("main", value, "main = \"src/hello.ts\"")?;
    let text = text.strip_prefix("./").unwrap_or(text);
    let parts_ok = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let bytes_ok =
        text.len() <= PATH_BYTES_MAX && !text.contains(['\\', ':']) && !text.chars().any(char::is_control);
    if parts_ok && bytes_ok {
        return Some(text.to_owned());
    }
    walk.wrong(
        value.span(),
        format!("main = \"{}\" is not a path inside the project", shorten(text)),
        "write it relative to neofn.toml, with `/` and without `..`",
    );
    None
}

fn runtime(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<RuntimeKind> {
    let text = walk.string("runtime", value, "runtime = \"js\"")?;
    if let Ok(kind) = text.parse() {
        return Some(kind);
    }
    let message = if RUNTIMES_ELSEWHERE.contains(&text) {
        format!("the runtime \"{text}\" is not in this build")
    } else {
        format!("unknown runtime \"{}\"", shorten(text))
    };
    let hint = crate::closest(text, RUNTIMES.iter().copied()).map_or_else(
        || "this build runs \"js\" and \"wasm\"".to_owned(),
        |meant| format!("did you mean \"{meant}\"?"),
    );
    walk.add(value.span(), Code::RuntimeUnknown, message, hint);
    None
}

fn limits(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> FunctionLimits {
    let mut limits = FunctionLimits::default();
    let Some(table) = walk.table("limits", value, "limits = { time = \"30s\" }") else {
        return limits;
    };
    for (span, key, value) in Walk::members(table) {
        match key {
            "units" => {
                limits.units = walk
                    .integer(key, value, 10_001..i64::MAX.unsigned_abs(), "units = 5_000_000")
                    .map(Units);
            }
            "time" => limits.time_ms = quantity(walk, key, value, "time = \"30s\"", parse_duration_ms),
            "memory" => limits.memory_bytes = quantity(walk, key, value, "memory = \"64MiB\"", parse_memory),
            "concurrency" => {
                limits.concurrency = walk
                    .integer(key, value, 1..1_000_001, "concurrency = 10")
                    .and_then(|n| u32::try_from(n).ok());
            }
            other => walk.unknown(span, other, "limits", LIMITS),
        }
    }
    limits
}

fn quantity(
    walk: &mut Walk<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    example: &str,
    parse: fn(&str) -> Result<u64, neofn_types::ParseQuantityError>,
) -> Option<u64> {
    let text = walk.string(key, value, example)?;
    match parse(text) {
        Ok(0) => {
            walk.wrong(
                value.span(),
                format!("`{key}` must be more than zero"),
                format!("write it like `{example}`"),
            );
            None
        }
        Ok(n) => Some(n),
        Err(reason) => {
            walk.wrong(
                value.span(),
                format!("`{key}`: {reason}"),
                format!("write it like `{example}`"),
            );
            None
        }
    }
}

fn allow(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Grants {
    let mut grants = Grants::default();
    let Some(table) = walk.table("allow", value, "allow = { kv = true }") else {
        return grants;
    };
    for (span, key, value) in Walk::members(table) {
        match key {
            "kv" => grants.kv = walk.boolean("kv", value).unwrap_or(false),
            "chain" => grants.chain = chain(walk, value),
            "net" => net(walk, value, &mut grants),
            "secrets" => secrets(walk, value, &mut grants),
            absent if ALLOW_ELSEWHERE.contains(&absent) => walk.wrong(
                span,
                format!("the grant `{absent}` is not in this build"),
                "this build grants `kv`, `chain`, `net` and `secrets`; remove the key",
            ),
            other => walk.unknown(span, other, "allow", ALLOW),
        }
    }
    grants
}

fn net(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>, grants: &mut Grants) {
    let Some(origins) = texts(walk, "net", value, NET_EXAMPLE) else {
        return;
    };
    if let Err(error) = grants.set_net(origins) {
        walk.wrong(
            value.span(),
            error.to_string(),
            format!("write it like `{NET_EXAMPLE}`"),
        );
    }
}

fn secrets(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>, grants: &mut Grants) {
    let Some(items) = value.get_ref().as_array() else {
        let hint = format!("write it like `{SECRETS_EXAMPLE}`");
        walk.wrong(value.span(), "`secrets` must be an array", hint);
        return;
    };
    let found: Vec<_> = items.iter().filter_map(|item| secret(walk, item)).collect();
    if let Err(error) = grants.set_secrets(found) {
        walk.wrong(
            value.span(),
            error.to_string(),
            format!("write it like `{SECRETS_EXAMPLE}`"),
        );
    }
}

fn secret(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<SecretGrant> {
    let (mut name, mut plaintext, mut rotate) = (None, false, false);
    if let Some(text) = value.get_ref().as_str() {
        name = Some(text);
    } else {
        for (span, key, value) in Walk::members(walk.table("secrets", value, SECRET_EXAMPLE)?) {
            match key {
                "name" => name = walk.string(key, value, SECRET_EXAMPLE),
                "plaintext" => plaintext = walk.boolean(key, value).unwrap_or(false),
                "rotate" => rotate = walk.boolean(key, value).unwrap_or(false),
                other => walk.unknown(span, other, "secrets", &["name", "plaintext", "rotate"]),
            }
        }
    }
    let Some(name) = name else {
        walk.wrong(
            value.span(),
            "a secret without its `name`",
            format!("write it like `{SECRET_EXAMPLE}`"),
        );
        return None;
    };
    match name.parse() {
        Ok(name) => Some(SecretGrant {
            name,
            plaintext,
            rotate,
        }),
        Err(error) => {
            let error: neofn_types::NameError = error;
            walk.wrong(
                value.span(),
                error.to_string(),
                format!("write it like `{SECRETS_EXAMPLE}`"),
            );
            None
        }
    }
}

fn chain(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> ChainGrant {
    if let Some(text) = value.get_ref().as_str() {
        if text == "read" {
            return ChainGrant::Read;
        }
        let hint = format!("write it like `{CHAIN_EXAMPLE}` or `{WRITE_EXAMPLE}`");
        walk.wrong(
            value.span(),
            format!("`chain` cannot be \"{}\"", shorten(text)),
            hint,
        );
        return ChainGrant::None;
    }
    let Some(table) = walk.table("chain", value, CHAIN_EXAMPLE) else {
        return ChainGrant::None;
    };
    let mut grant = None;
    for (span, key, value) in Walk::members(table) {
        match key {
            "write" => grant = Some(write(walk, value)),
            other => walk.unknown(span, other, "chain", CHAIN),
        }
    }
    match grant {
        Some(grant) => grant.map_or(ChainGrant::None, ChainGrant::Write),
        None => {
            let hint = format!("write it like `{CHAIN_EXAMPLE}` or `{WRITE_EXAMPLE}`");
            walk.wrong(value.span(), "`chain` says neither read nor write", hint);
            ChainGrant::None
        }
    }
}

fn write(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<ChainWrite> {
    let table = walk.table("write", value, WRITE_EXAMPLE)?;
    let (mut contracts, mut gas) = (None, None);
    for (span, key, value) in Walk::members(table) {
        match key {
            "contracts" => contracts = Some(texts(walk, key, value, WRITE_EXAMPLE)?),
            "gas" => gas = Some(walk.string(key, value, "gas = \"0.5\"")?),
            other => walk.unknown(span, other, "write", WRITE),
        }
    }
    let (Some(contracts), Some(gas)) = (contracts, gas) else {
        let hint = format!("write it like `{WRITE_EXAMPLE}`");
        walk.wrong(value.span(), "`write` needs `contracts` and `gas`", hint);
        return None;
    };
    match ChainWrite::new(contracts, gas) {
        Ok(write) => Some(write),
        Err(error) => {
            let hint = format!("write it like `{WRITE_EXAMPLE}`");
            walk.wrong(value.span(), error.to_string(), hint);
            None
        }
    }
}

fn texts<'t>(
    walk: &mut Walk<'_>,
    key: &str,
    value: &'t Spanned<DeValue<'_>>,
    example: &str,
) -> Option<Vec<&'t str>> {
    let Some(items) = value.get_ref().as_array() else {
        let hint = format!("write it like `{example}`");
        walk.wrong(value.span(), format!("`{key}` must be an array of strings"), hint);
        return None;
    };
    items.iter().map(|item| walk.string(key, item, example)).collect()
}

fn test(walk: &mut Walk<'_>, key_span: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Option<SmokeTest> {
    let table = walk.table("test", value, "test = { event = { name = \"Neo\" } }")?;
    let (mut event, mut expect, mut has_event) = (None, None, false);
    for (span, key, value) in Walk::members(table) {
        match key {
            "event" => {
                has_event = true;
                event = json(walk, value);
            }
            "expect" => expect = json(walk, value),
            other => walk.unknown(span, other, "test", TEST),
        }
    }
    if !has_event {
        walk.wrong(
            key_span.clone(),
            "`test` has no `event`",
            "add the event to send: `event = { name = \"Neo\" }`",
        );
    }
    Some(SmokeTest {
        event: event?,
        expect,
    })
}

fn json(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<serde_json::Value> {
    match to_json(value.get_ref()) {
        Ok(json) => Some(json),
        Err(reason) => {
            walk.wrong(value.span(), reason, "an event is JSON");
            None
        }
    }
}
