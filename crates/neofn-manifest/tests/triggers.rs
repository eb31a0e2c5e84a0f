//! Triggers in a manifest: read, handed on, refused with frames that point into the filter's own text.

#![expect(clippy::expect_used, reason = "a test may panic")]

use neofn_event::{TriggerKind, Triggers, spec};
use neofn_manifest::{Source, parse};
use proptest::prelude::*;

const FULL: &str = r#"
[function.guard]
main = "guard.ts"
[[function.guard.on.block]]
every = 100
[[function.guard.on.transaction]]
sender = "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd"
contract = "GAS"
state = "any"
start = "genesis"
[[function.guard.on.notification]]
name = "large"
contract = "GAS"
event = "Transfer"
where = "amount >= gas('100') and to != null"
order_by = "to"
batch = { size = 50, wait = "5s" }
max_lag = { blocks = 1_000, action = "pause" }
[[function.guard.on.notification]]
event = "Minted"
parameters = ["to: Hash160", "id: ByteArray"]
where = '''
to == "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd"
'''
debounce = "10s"
phase = "any"
start = 1_000_000
[[function.guard.on.execution]]
state = "fault"
order = "sequential"
[[function.guard.on.cron]]
schedule = "0 9 * * 1-5"
timezone = "Europe/Berlin"
missed = "all"
data = { report = "daily", when = 2026-01-01 }
[[function.guard.on.event]]
type = "com.example.*"
where = "data.total > 9.99"
[function.guard.on.http]
methods = ["POST", "put"]
path = "/hooks/*"
"#;

fn refusal(text: &str) -> String {
    let error = parse("neofn.toml", text).expect_err("is wrong");
    let lines = error.findings.iter().map(|f| {
        format!(
            "{} {}:{}: {}\n{}  help: {}\n",
            f.code, f.line, f.column, f.message, f.frame, f.hint
        )
    });
    lines.collect()
}

#[test]
fn every_kind_is_read_and_handed_on_unchanged() {
    let manifest = parse("neofn.toml", FULL).unwrap_or_else(|e| panic!("{e}"));
    let name = "guard".parse().expect("name");
    let function = &manifest.functions[&name];
    let kinds: std::collections::BTreeSet<TriggerKind> = function.on.0.iter().map(|t| t.on.kind()).collect();
    assert_eq!(kinds.len(), TriggerKind::ALL.len());
    let on = function
        .deploy_request(&name, Source::Module(String::new()))
        .on
        .expect("has triggers");
    let on = on.tree().expect("it is JSON");
    let again = Triggers::read(&on).unwrap_or_else(|f| panic!("{}", f[0]));
    let text = |t: &Triggers| serde_json::to_string(t).expect("JSON");
    assert_eq!(text(&again), text(&function.on));
    let stored: Triggers = serde_json::from_str(&text(&again)).expect("reads back");
    // but for their order, which is that of the kinds
    assert!(stored.0.iter().all(|t| function.on.0.contains(t)) && stored.0.len() == function.on.0.len());
    let on: std::collections::BTreeMap<String, Vec<std::collections::BTreeMap<String, serde_json::Value>>> =
        serde_json::from_value(on).expect("lists");
    insta::assert_snapshot!(serde_json::to_string_pretty(&on).expect("JSON"));
}

#[test]
fn refusals_point_into_the_filter_and_say_what_to_do() {
    insta::assert_snapshot!(refusal(
        r#"[function.a]
main = "a.ts"
[[function.a.on.notification]]
contract = "GASS"
evnt = "Transfer"
where = "amount > 5"
[[function.a.on.notification]]
contract = "GAS"
event = "Transfer"
where = "amonut >= 5 and from == \"Alice\" and to = 'GAS'"
[[function.a.on.notification]]
contract = "GAS"
event = "Transfer"
where = "from == \"Alice\" and amonut >= 5"
order_by = """
  too"""
[[function.a.on.notification]]
phase = "applicaton"
[[function.a.on.cron]]
schedule = "0 25 * * *"
[[function.a.on.cron]]
schedule = "@daily"
timezone = "Berlin"
where = "true"
[[function.a.on.cron]]
name = "Daily Report"
[[function.a.on.block]]
every = 0
max_lag = { block = 5 }
start = "first"
[[function.a.on.event]]
debounce = "10s"
batch = { size = 5_000 }
[[function.a.on.evnt]]
[[function.a.on.price]]
[[function.a.on.http]]
methods = ["FETCH"]
[[function.a.on.transaction]]
name = "block-1"
sender = "Nobody"
order = "sequential"
order_by = "tx.sender"
"#
    ));
    insta::assert_snapshot!(refusal("[function.a]\nmain='a.js'\non = 5\n"));
    insta::assert_snapshot!(refusal(
        "[function.a]\nmain='a.js'\non = { cron = '@daily', block = [1] }\n"
    ));
}

#[test]
fn names_that_only_the_chain_knows_are_left_to_the_deployment() {
    let text = |filter: &str| {
        format!(
            "[function.a]\nmain='a.js'\n[[function.a.on.notification]]\n\
             contract = '0x391ec6920666ddc110cf70811db50b50d5b4ff6c'\nevent = 'AnswerUpdated'\nwhere = \"{filter}\"\n"
        )
    };
    assert!(parse("neofn.toml", &text("feed == 'GAS/USD' and answer > 5")).is_ok());
    assert!(parse("neofn.toml", &text("feed == 'GAS/USD' and tx.sendr == 'GAS'")).is_err());
}

#[test]
fn hostile_triggers_are_bounded() {
    let many = "[[function.a.on.block]]\n".repeat(spec::PER_FUNCTION_MAX + 50);
    let findings = parse("neofn.toml", &format!("[function.a]\nmain='a.js'\n{many}"))
        .expect_err("too many")
        .findings;
    assert!(!findings.is_empty() && findings.len() <= neofn_manifest::FINDINGS_MAX);
    let long = format!(
        "[function.a]\nmain='a.js'\n[[function.a.on.block]]\nwhere = '{}'\n",
        "x".repeat(10_000)
    );
    assert!(parse("neofn.toml", &long).is_err());
}

proptest! {
    #[test]
    fn no_trigger_makes_it_panic(
        kind in "(block|transaction|notification|execution|cron|event|http|nonsense)",
        members in proptest::collection::vec((
            "(name|contract|event|where|order|order_by|debounce|batch|start|max_lag|schedule|timezone|missed|data|every|methods|path|parameters|state|x)",
            "(1|-1|1\\.5|true|\"x\"|\"GAS\"|\"\\\\u00e4 == \\\\\"\"|'10s'|'''\na >'''|\"\"\"\\\\\n a ==\"\"\"|\\[1\\]|\\[\"a: Integer\"\\]|\\{size=1\\}|\\{blocks=0\\}|1979-05-27)",
        ), 0..5),
    ) {
        let body: String = members.iter().map(|(k, v)| format!("{k} = {v}\n")).collect();
        let text = format!("[function.a]\nmain='a.js'\n[[function.a.on.{kind}]]\n{body}");
        if let Err(error) = parse("neofn.toml", &text) {
            prop_assert!(!error.findings.is_empty());
            prop_assert!(error.findings.iter().all(|f| f.line >= 1 && f.column >= 1));
        }
    }
}
