//! What blocks and events reach which triggers, the events that functions get, and the explanations.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use neofn_event::CloudEvent;
use neofn_trigger::{EventMatcher, cron_event, ids};
use neofn_types::UnixMillis;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{account, block, gas, matcher, sample, transaction, transfer, triggers};

/// `trigger: event id [key]` for each match.
fn lines(on: Value) -> Vec<String> {
    let matches = matcher(on).block(&sample());
    matches
        .into_iter()
        .map(|m| match m.key {
            Some(key) => format!("{}: {} {key}", m.trigger.name, m.event_id),
            None => format!("{}: {}", m.trigger.name, m.event_id),
        })
        .collect()
}

#[test]
fn notifications_by_contract_name_and_condition() {
    let on = |more: Value| {
        let mut trigger = json!({"name": "t", "contract": "GAS", "event": "Transfer"});
        for (k, v) in more.as_object().expect("object") {
            trigger[k] = v.clone();
        }
        lines(json!({ "notification": [trigger] }))
    };
    let network = 860_833_102;
    let id = |rest: &str| format!("t: {network}:100:{rest}");
    assert_eq!(on(json!({})), [id("0:0:0"), id("0:0:1")]);
    assert_eq!(on(json!({"where": "amount >= gas('1')"})), [id("0:0:1")]);
    assert_eq!(
        on(json!({"where": format!("to == '{}'", account(2).to_address())})),
        [id("0:0:0")]
    );
    assert_eq!(
        on(json!({"where": format!("'{}' in tx.signers", account(101))})),
        [id("0:0:0"), id("0:0:1")]
    );
    assert_eq!(on(json!({"state": "fault"})), [id("1:0:0")]);
    assert_eq!(
        on(json!({"state": "any", "where": "state == 'FAULT'"})),
        [id("1:0:0")]
    );
    assert_eq!(
        on(json!({"phase": "system"})),
        [id("persist:0:0"), id("persist:1:0")]
    );
    assert_eq!(
        on(json!({"phase": "system", "where": "from == null"})),
        [id("persist:1:0")]
    );
    assert_eq!(on(json!({"phase": "any"})).len(), 4);
    assert_eq!(
        on(json!({"order_by": "to"})),
        [
            format!("{} {}", id("0:0:0"), account(2)),
            format!("{} {}", id("0:0:1"), account(3))
        ]
    );
    assert_eq!(
        lines(json!({"notification": {"event": "Minted", "where": "arg0 == 'GAS/USD' and arg2 == 5"}})).len(),
        1
    );
    assert_eq!(
        lines(json!({"notification": {"event": "Minted", "parameters": ["feed: String", "x: ByteArray", "n: Integer"],
            "where": "feed.starts_with('GAS') and n < 6 and x == hex('ff00')"}})).len(),
        1
    );
    assert!(lines(json!({"notification": {"contract": "NEO", "event": "Transfer"}})).is_empty());
}

#[test]
fn blocks_transactions_and_executions() {
    assert_eq!(lines(json!({"block": {"every": 50}})), ["block-1: 860833102:100"]);
    assert!(lines(json!({"block": {"every": 33}})).is_empty());
    assert_eq!(
        lines(json!({"block": {"where": "block.transactions == 3"}})).len(),
        1
    );
    let tx = |on: Value| lines(json!({ "transaction": on }));
    assert_eq!(
        tx(json!({})),
        ["transaction-1: 860833102:100:0", "transaction-1: 860833102:100:2"]
    );
    assert_eq!(
        tx(json!({"sender": account(3)})),
        ["transaction-1: 860833102:100:2"]
    );
    assert_eq!(
        tx(json!({"signer": account(103).to_address()})),
        ["transaction-1: 860833102:100:2"]
    );
    assert_eq!(tx(json!({"contract": "GAS"})), ["transaction-1: 860833102:100:0"]);
    assert_eq!(tx(json!({"contract": "GAS", "state": "any"})).len(), 2);
    assert_eq!(
        tx(json!({"contract": "GAS", "sender": account(3)})),
        Vec::<String>::new()
    );
    assert_eq!(
        tx(json!({"where": "tx.system_fee + tx.network_fee > gas('0.1') and tx.index == 0"})).len(),
        1
    );
    let executions = |on: Value| lines(json!({ "execution": on }));
    assert_eq!(
        executions(json!({"state": "fault"})),
        ["execution-1: 860833102:100:1:0"]
    );
    assert_eq!(executions(json!({})).len(), 3);
    assert_eq!(
        executions(json!({"where": "exception.contains('ASSERT')"})).len(),
        1
    );
    assert_eq!(
        executions(json!({"state": "halt", "where": "result[0] == true"})).len(),
        2
    );
}

#[test]
fn what_functions_get() {
    let matcher = matcher(json!({
        "notification": [
            {"name": "known", "contract": "GAS", "event": "Transfer", "where": "amount > 50"},
            {"name": "unknown", "event": "Minted"},
        ],
        "transaction": {"sender": account(2), "state": "any"},
        "execution": {"state": "fault"},
        "block": {},
    }));
    let events: Vec<Value> = matcher
        .block(&sample())
        .iter()
        .map(|m| (*m.event).clone())
        .collect();
    for event in &events {
        let read = CloudEvent::from_json(event.clone()).unwrap_or_else(|e| panic!("{event}: {e}"));
        assert_eq!(&read.to_json(), event);
    }
    // as sorted text: how maps keep their members depends on features that other crates switch on
    let sorted = |v: &Value| {
        let tree: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(v.clone()).expect("object");
        let mut data: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(v["data"].clone()).expect("object");
        data.remove("block");
        format!("{} {} {} {data:#?}", tree["type"], tree["id"], tree["subject"])
    };
    insta::assert_snapshot!(events.iter().map(sorted).collect::<Vec<_>>().join("\n"));
}

#[test]
fn cron_events_are_cloud_events() {
    let (id, _) = triggers(json!({"cron": {"schedule": "@daily"}})).remove(0);
    let event = cron_event(&id, UnixMillis(1_700_000_000_000), Some(&json!({"n": 1})));
    let read = CloudEvent::from_json(event).expect("is one");
    assert_eq!(
        (read.id.as_str(), read.ty.as_str()),
        ("cron:1700000000000", "neofn.cron")
    );
    assert_eq!(read.source, "/triggers/demo/guard/cron-1");
    assert_ne!(id.effect_key("a"), id.effect_key("b"));
    assert_eq!(ids::height("860833102:100:1:0"), Some(100));
    assert_eq!(ids::height("cron:5"), None);
}

#[test]
fn cloud_events_by_attributes_and_data() {
    let event = |ty: &str, data: Value| {
        let json = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": ty, "subject": "order-7",
            "data": data, "region": "eu"});
        CloudEvent::from_json(json).expect("is one")
    };
    let matches = |on: Value, event: &CloudEvent| {
        let (matcher, refused) = EventMatcher::build(triggers(json!({ "event": on })));
        assert!(refused.is_empty());
        matcher.matches(event).len()
    };
    let created = event("order.created", json!({"total": 99.5, "customer": {"vip": true}}));
    assert_eq!(matches(json!({"type": "order.*"}), &created), 1);
    assert_eq!(matches(json!({"type": "order.deleted"}), &created), 0);
    assert_eq!(
        matches(json!({"subject": "order-*", "source": "/shop"}), &created),
        1
    );
    assert_eq!(
        matches(
            json!({"type": "*", "where": "data.total >= 99.5 and data.customer.vip"}),
            &created
        ),
        1
    );
    assert_eq!(
        matches(
            json!({"type": "*", "where": "extensions.region == 'us'"}),
            &created
        ),
        0
    );
    assert_eq!(
        matches(
            json!({"type": "*", "where": "subject == 'order-7' and id == '1'"}),
            &created
        ),
        1
    );
}

#[test]
fn explanations_name_the_condition_that_failed() {
    let on = json!({"notification": [
        {"name": "large", "contract": "GAS", "event": "Transfer", "where": "amount >= gas('10') and tx.index == 0"},
        {"name": "good", "contract": "GAS", "event": "Transfer", "where": "amount == 50"},
    ]});
    let matcher = matcher(on.clone());
    let ids: Vec<_> = triggers(on).into_iter().map(|(id, _)| id).collect();
    let show = |index: usize, tx: Option<u8>| {
        let tx = tx.map(|n| neofn_types::Hash256([n; 32]));
        let explanation = matcher.explain(&ids[index], &sample(), tx).expect("known");
        let mut out = format!("{} matched={}\n", explanation.trigger, explanation.matched);
        for candidate in &explanation.candidates {
            out.push_str(&format!(
                "  {} {} matched={}\n",
                candidate.event_id, candidate.what, candidate.matched
            ));
            for c in &candidate.conditions {
                out.push_str(&format!(
                    "    {} {} ({}) {:?}\n",
                    c.held,
                    c.text,
                    c.actual.join(", "),
                    c.fault
                ));
            }
        }
        out
    };
    insta::assert_snapshot!(format!(
        "{}{}{}",
        show(0, Some(1)),
        show(0, Some(2)),
        show(1, None)
    ));
    let stranger = "demo/other/x".parse().expect("id");
    assert!(matcher.explain(&stranger, &sample(), None).is_none());
}

#[test]
fn a_stored_trigger_that_no_longer_fits_is_given_back() {
    let broken =
        triggers(json!({"notification": {"contract": account(5), "event": "X", "where": "amount > 5"}}));
    let (matcher, refused) = neofn_trigger::Matcher::build(support::NETWORK, broken);
    assert!(matcher.is_empty() && refused.len() == 1);
}

fn any_on() -> impl Strategy<Value = Value> {
    let state = prop_oneof![Just("halt"), Just("fault"), Just("any")];
    let who = proptest::option::of(1u8..5);
    let filter = prop_oneof![
        Just(None),
        Just(Some("amount > 50")),
        Just(Some("tx.index == 0 or from == null")),
        Just(Some("block.height == 100")),
    ];
    (state, who.clone(), who, any::<bool>(), filter, 0usize..4).prop_map(
        |(state, a, b, on_gas, filter, kind)| {
            let mut on = json!({ "state": state });
            let plain = filter
                .filter(|f| !f.contains("amount") && !f.contains("from") && (kind != 3 || !f.contains("tx")));
            match kind {
                0 => {
                    on["contract"] = json!(if on_gas { gas() } else { account(77) });
                    if on_gas {
                        on["event"] = json!("Transfer");
                        on["phase"] = json!("any");
                    }
                    if let Some(f) = if on_gas { filter } else { plain } {
                        on["where"] = json!(f);
                    }
                    return json!({ "notification": on });
                }
                3 => on = json!({"every": 25}),
                _ => {
                    if let Some(a) = a {
                        on["sender"] = json!(account(a));
                    }
                    if let (Some(b), 1) = (b, kind) {
                        on["signer"] = json!(account(b + 100));
                    }
                    if on_gas {
                        on["contract"] = json!("GAS");
                    }
                }
            }
            if let Some(f) = plain {
                on["where"] = json!(f);
            }
            json!({ ["block", "transaction", "execution", "block"][kind]: on })
        },
    )
}

proptest! {
    /// Matching goes through the index and explaining does not: they agree about every event.
    #[test]
    fn explaining_and_matching_agree(on in any_on().prop_filter("kinds", |on| on.as_object().is_some_and(|o| o.values().all(|v| v.get("every").is_none() || v.get("state").is_none())))) {
        let on = match on.get("block") {
            Some(b) if b.get("every").is_none() => return Ok(()),
            _ => on,
        };
        let matcher = matcher(on.clone());
        let (id, _) = triggers(on).remove(0);
        for block in [sample(), block(101, vec![transaction(4, 2, gas(), neofn_chain::model::VmState::Halt, vec![transfer(gas(), 2, 2, 51)])])] {
            let mut matched: Vec<String> = matcher.block(&block).into_iter().map(|m| m.event_id).collect();
            let explained = matcher.explain(&id, &block, None).expect("known");
            let mut expected: Vec<String> =
                explained.candidates.into_iter().filter(|c| c.matched).map(|c| c.event_id).collect();
            matched.sort();
            expected.sort();
            prop_assert_eq!(matched, expected);
        }
    }
}
