//! What a manifest may say, what is refused, and how a refusal reads.

use neofn_manifest::{MANIFEST_BYTES_MAX, Source, json_schema, parse};
use neofn_types::{Code, RuntimeKind};
use proptest::prelude::*;

const FULL: &str = r#"
#:schema ./.neofn/manifest.schema.json
project = "demo"

[function.guard]
main    = "./src/guard.ts"
runtime = "js"
public  = true
limits  = { units = 5_000_000, time = "30s", memory = "64MiB", concurrency = 10 }
allow   = { kv = true }

[function.guard.test]
event  = { name = "Neo", n = 1, list = [1.5, true], when = 2026-01-02 }
expect = { ok = true }

[function.sum]
main = "build/sum.wasm"
runtime = "wasm"
"#;

fn refusal(text: &str) -> String {
    let Err(error) = parse("neofn.toml", text) else {
        return "accepted".to_owned();
    };
    error
        .findings
        .iter()
        .map(|f| {
            format!(
                "{} {}:{}:{}: {}\n{}  help: {}\n",
                f.code, f.file, f.line, f.column, f.message, f.frame, f.hint
            )
        })
        .collect()
}

#[test]
fn a_full_manifest_is_read() {
    let manifest = parse("neofn.toml", FULL).expect("is right");
    assert_eq!(manifest.project.as_str(), "demo");
    let guard = &manifest.functions[&"guard".parse().expect("name")];
    assert_eq!(guard.main, "src/guard.ts");
    assert!(guard.public && guard.allow.kv);
    assert_eq!(guard.limits.time_ms, Some(30_000));
    assert_eq!(guard.limits.memory_bytes, Some(64 << 20));
    let test = guard.test.as_ref().expect("has one");
    assert_eq!(
        test.event,
        serde_json::json!({"name": "Neo", "n": 1, "list": [1.5, true], "when": "2026-01-02"})
    );
    assert_eq!(
        manifest.functions[&"sum".parse().expect("name")].runtime,
        RuntimeKind::Wasm
    );
    assert_eq!(
        parse("neofn.toml", &format!("\u{feff}{FULL}")).expect("with a byte order mark"),
        manifest
    );
    assert_eq!(
        parse("neofn.toml", &FULL.replace('\n', "\r\n")).expect("with CRLF"),
        manifest
    );
}

#[test]
fn it_becomes_a_deployment() {
    let manifest = parse("neofn.toml", FULL).expect("is right");
    let name = "guard".parse().expect("name");
    let files = [("src/guard.ts".to_owned(), "x".to_owned())].into();
    let request = manifest.functions[&name].deploy_request(&name, Source::Files(files));
    // as text: how a number is kept in memory depends on features that other crates of the binary switch on
    insta::assert_snapshot!(serde_json::to_string_pretty(&request).expect("is JSON"));
}

#[test]
fn the_project_has_a_default() {
    let manifest = parse("neofn.toml", "[function.a]\nmain = 'a.js'").expect("is right");
    assert_eq!(manifest.project.as_str(), "default");
}

#[test]
fn refusals_point_at_the_place_and_say_what_to_do() {
    insta::assert_snapshot!(refusal(
        r#"projct = "demo"
[function.hello]
mian = "a.ts"
public = "yes"
limits = { time = "30 parsecs", memory = 64, units = 1, colour = 1 }
allow = { net = ["x.example"], secrets = ["A", { plaintext = true }], kvv = true }
runtime = "deno"
[[function.hello.on.cron]]
schedule = "* * * * *"
[function.Bad]
main = "a.js"
[function.out]
main = "../secret.ts"
test = { expect = 1 }
[function.mod]
main = "a.wasm"
"#
    ));
}

#[test]
fn syntax_errors_and_duplicates_are_refused() {
    insta::assert_snapshot!(refusal("[function.a]\nmain = \"a.js\"\nmain = \"b.js\"\n"));
    insta::assert_snapshot!(refusal("project = demo\n[function.a\nmain = 'x'\n"));
    insta::assert_snapshot!(refusal(""));
    insta::assert_snapshot!(refusal("function = 1"));
}

#[test]
fn hostile_documents_are_bounded() {
    let huge = format!("# {}", "x".repeat(MANIFEST_BYTES_MAX));
    assert_eq!(
        parse("neofn.toml", &huge).expect_err("too large").findings[0].code,
        Code::ManifestInvalid
    );
    for deep in [
        format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{} = 1", vec!["a"; 60_000].join(".")),
        format!("[{}]", vec!["a"; 60_000].join(".")),
        format!("a = {}", "{a=".repeat(60_000)),
        format!(
            "[function.a]\nmain='a.js'\ntest.event.{} = 1",
            vec!["a"; 60_000].join(".")
        ),
    ] {
        let findings = parse("neofn.toml", &deep).expect_err("too deep").findings;
        assert!(!findings.is_empty() && findings.len() <= neofn_manifest::FINDINGS_MAX);
    }
    let many: String = (0..2_000)
        .map(|n| format!("[function.f{n}]\nmain = 'a.js'\n"))
        .collect();
    assert!(parse("neofn.toml", &many).is_err());
}

#[test]
fn the_schema_in_the_docs_is_current() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/manifest.schema.json"
    );
    let schema = json_schema();
    if std::env::var_os("NEOFN_UPDATE").is_some() {
        std::fs::write(path, &schema).expect("writes");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    // the order of members depends on features that other crates of the binary switch on
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    assert!(
        parse(&kept) == parse(&schema),
        "docs/reference/manifest.schema.json is stale: run with NEOFN_UPDATE=1"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse("neofn.toml", &text);
    }

    #[test]
    fn no_manifest_makes_it_panic(
        keys in proptest::collection::vec("(project|function|main|limits|allow|on|test|event|units|time|[a-zä.\"\\[\\]]{0,6})", 1..6),
        values in proptest::collection::vec("(1|-1|1.5|nan|true|\"x\"|\"30s\"|'ü'|\\[1\\]|\\{a=1\\}|1979-05-27|[=\"\\[{}]{0,3})", 1..6),
    ) {
        let text: String = keys.iter().zip(&values).map(|(k, v)| format!("{k} = {v}\n[function.{k}]\n{k} = {v}\n")).collect();
        if let Err(error) = parse("neofn.toml", &text) {
            for finding in &error.findings {
                prop_assert!(finding.line >= 1 && finding.column >= 1);
            }
            prop_assert!(!error.findings.is_empty());
        }
    }
}
