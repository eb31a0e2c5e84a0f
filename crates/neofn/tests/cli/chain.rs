//! The chain, triggers, events, transactions and the signer, against a node that says exactly what each test wants.

use crate::mock::Mock;
use crate::run::Place;
use insta::assert_snapshot;

const HASH: &str = "0x75b97c8f89176d422af4afd962356aaaf107fd7daecdf9fbe9d4866b2822f321";
const FROM: &str = "NdSdkHf91ZtibedUtVVH1of5uokwN7G2hJ";
const TO: &str = "NbgrjPmpvCPo6pYCMn52LdAX2kVffgMceW";
const TX: &str = "eb884e65a0cd01f1be70f56b60d32a41";
const ID: &str = "0193b3a0-0000-7000-8000-000000000001";

fn transaction(state: &str, more: &str) -> String {
    format!(
        r#"{{"id":"{TX}","project":"demo","state":"{state}","hash":"{HASH}","sender":"{FROM}","signers":[{{"account":"{FROM}","scope":"CalledByEntry"}}],
        "calls":[{{"contract":"0xd2a4cff31913016155e38e474a2c06d08be276cf","name":"GAS","method":"transfer"}}],"fee":"11408810","systemFee":"10177290",
        "networkFee":"1231520","validUntil":304,{more}"attempt":1,"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:01.000Z"}}"#
    )
}

fn fired(status: &str, more: &str) -> String {
    format!(
        r#"{{"trigger":"transfers","event_id":"56753:5:0:0:0","height":5,"event":{{"id":"56753:5:0:0:0"}},"invocation":{{"id":"{ID}","status":"{status}",
        "project":"demo","function":"watch","version":1,"attempt":1,"origin":"block",{more}"logs":[],
        "units":{{"total":32545,"base":10000,"compute":545,"memory":0,"host":22000,"schedule":1}},"traceId":"t","created_at":"2026-01-01T00:00:00.000Z"}}}}"#
    )
}

#[test]
fn looks_at_the_chain() {
    let chain = r#"{"network":56753,"height":12,"hash":"0x00","next":13,"lag":0,"rpc":"http://127.0.0.1:1","nodes":[
        {"url":"http://127.0.0.1:1","agent":"/NEO-GO:0.105.1/","height":12,"lag":0,"latency_ms":2,"errors_per_mille":0,"subscribed":true},
        {"url":"http://127.0.0.1:2","lag":9,"latency_ms":7,"errors_per_mille":100,"subscribed":false,"ejected":"9 blocks behind"}]}"#;
    let tx = format!(
        r#"{{"hash":"{HASH}","sender":"{FROM}","signers":[{{"account":"0xed75c0cdda1bc66608e2d6c4881a29bf62ce46c0","scopes":"CalledByEntry"}}],
        "systemFee":"10177290","networkFee":"1231520","validUntil":304,"size":248,"included":{{"height":5,"block":"0x01","time":"2026-01-01T00:00:00.000Z"}},
        "executions":[{{"trigger":"Application","state":"HALT","gas":"9977750","stack":[{{"type":"Boolean","value":true}}],
        "notifications":[{{"name":"GAS","contract":"0xd2","event":"Transfer","state":[{{"type":"Any"}},{{"type":"ByteString","value":"aGk="}},{{"type":"Integer","value":"5"}}]}}]}}]}}"#
    );
    let balance = format!(
        r#"{{"account":"{TO}","token":"0xd2a4cff31913016155e38e474a2c06d08be276cf","name":"GAS","amount":"150000001"}}"#
    );
    let fault = r#"{"state":"FAULT","gas":"100","exception":"not allowed","stack":[],"notifications":[],"result":null}"#;
    let mock = Mock::start(&[
        ("GET /api/v1/chain", 200, chain),
        (&format!("GET /api/v1/chain/transactions/{HASH}"), 200, &tx),
        (
            &format!("GET /api/v1/chain/balances/{TO}?token=GAS"),
            200,
            &balance,
        ),
        ("POST /api/v1/chain/call", 200, fault),
    ]);
    let place = Place::with_node(&mock.url);
    assert_snapshot!("chain_height", place.see(&["chain", "height"]));
    assert_snapshot!("chain_tx", place.see(&["chain", "tx", HASH]));
    assert_snapshot!("chain_balance", place.see(&["chain", "balance", TO]));
    assert_snapshot!(
        "chain_call_fault",
        place.see(&["chain", "call", "GAS", "transfer", FROM, TO, "-5", "null"])
    );
    assert_snapshot!("chain_asked", mock.asked().join("\n"));
}

#[test]
fn sends_and_follows_transactions() {
    let sent = format!(
        r#"{{"contract":"0xd2a4cff31913016155e38e474a2c06d08be276cf","sender":"{FROM}","fee":"11408810","systemFee":"10177290","networkFee":"1231520","transaction":{}}}"#,
        transaction("broadcast", "")
    );
    let halt = transaction("halt", r#""height":5,"#);
    let fault = transaction("fault", r#""height":6,"exception":"out of luck","#);
    let list = format!(r#"{{"transactions":[{halt}],"next":null}}"#);
    let signer = format!(
        r#"{{"accounts":[{{"address":"{FROM}","account":"0xed","label":"development","policy":{{"perTransaction":"1","perDay":"10",
        "calls":[{{"contract":"0xd2","methods":["transfer"]}},{{"contract":"0xef"}}],"scope":"CalledByEntry","network":0}},"spent":"0.5"}}]}}"#
    );
    let mock = Mock::start(&[
        ("GET /api/v1/signer", 200, &signer),
        ("POST /api/v1/chain/invoke?project=demo", 202, &sent),
        (&format!("GET /api/v1/transactions/{TX}?wait=30"), 200, &halt),
        ("GET /api/v1/transactions/bad", 200, &fault),
        ("GET /api/v1/transactions?project=demo&limit=20", 200, &list),
    ]);
    let place = Place::with_node(&mock.url);
    let demo = |args: &[&str]| place.see(&[&["--project", "demo"], args].concat());
    assert_snapshot!(
        "transfer",
        demo(&["chain", "transfer", TO, "1.5", "--gas", "0.2"])
    );
    assert_snapshot!("tx_fault", demo(&["tx", "bad"]));
    assert_snapshot!("tx_hash", demo(&["tx", HASH]));
    assert_snapshot!("tx_list", demo(&["tx"]));
    assert_snapshot!("signer", demo(&["signer"]));
    assert_snapshot!("bad_amount", demo(&["chain", "transfer", TO, "1,5"]));
    assert_snapshot!("send_asked", mock.asked().join("\n"));
}

#[test]
fn who_has_many_projects_names_one_where_it_matters() {
    let me = r#"{"kind":"key","id":"k","operator":true,"roles":[]}"#;
    let many = r#"{"projects":[{"name":"a"},{"name":"b"}]}"#;
    let sent = format!(
        r#"{{"contract":"0xd2","sender":"{FROM}","fee":"1","systemFee":"1","networkFee":"0","transaction":{}}}"#,
        transaction("broadcast", "")
    );
    let signer = format!(
        r#"{{"accounts":[{{"address":"{FROM}","account":"0xed","label":"x","policy":{{"perTransaction":"1","perDay":"10",
        "calls":[],"scope":"CalledByEntry","network":0}},"spent":"0"}}]}}"#
    );
    let mock = Mock::start(&[
        ("GET /auth/whoami", 200, me),
        ("GET /api/v1/projects", 200, many),
        ("GET /api/v1/signer", 200, &signer),
        ("POST /api/v1/chain/invoke?project=default", 202, &sent),
        ("GET /api/v1/members/b", 200, r#"{"members":[]}"#),
    ]);
    let place = Place::with_node(&mock.url);
    let transfer = ["chain", "transfer", TO, "1.5", "--no-wait"];
    let refused = place.run(&transfer);
    assert_eq!(refused.status.code(), Some(2), "{}", place.seen(&refused));
    // the operator's own account bears it: it is of no project
    let borne = place.run(&[&transfer[..], &["--operator"]].concat());
    assert_eq!(borne.status.code(), Some(0), "{}", place.seen(&borne));
    for of in [&["members", "ls", "b"][..], &["members", "ls", "--project", "b"]] {
        let listed = place.run(of);
        assert_eq!(listed.status.code(), Some(0), "{}", place.seen(&listed));
    }
}

#[test]
fn shows_triggers_and_what_reached_them() {
    let triggers = r#"{"triggers":[{"id":"demo/watch/transfers","function":"watch","name":"transfers","kind":"notification","on":{},"version":1,
        "status":"paused","reason":"it lagged","lag":7,"matched":1234,"skipped":0,"matched_at":"2026-01-01T00:00:00.000Z"}]}"#;
    let test = r#"{"trigger":"demo/watch/transfers","kind":"notification","matched":false,"candidates":[{"event_id":"e","what":"Transfer of GAS",
        "matched":false,"conditions":[{"text":"amount >= 5","held":false,"actual":["amount = 3"]},{"text":"from == 'N'","held":true,"actual":[]}]}],"left_out":2}"#;
    let backtest = r#"{"trigger":"demo/watch/transfers","from":1,"to":20,"matched":3,"samples":[{"id":"56753:5:0:0:0",
        "data":{"block":{"height":5},"event":"Transfer","args":{"amount":"5"}}}],"units_each":12000,"units":36000,"fees_each":"1000000","fees":"3000000",
        "measured":1,"failure":"NF0201: Error: no"}"#;
    let events = format!(
        r#"{{"events":[{},{}],"next":null}}"#,
        fired("queued", ""),
        fired("succeeded", r#""success":true,"duration":5.3,"#)
    );
    let dead = format!(
        r#"{{"events":[{}],"next":null}}"#,
        fired(
            "dead",
            r#""success":false,"code":"NF0201","message":"Error: no\n\u001b[2J","duration":1.5,"#
        )
    );
    let redone = format!(r#"{{"ids":["{ID}"],"more":false}}"#);
    let mock = Mock::start(&[
        ("GET /api/v1/triggers?project=demo", 200, triggers),
        (
            "GET /api/v1/triggers/demo/watch/transfers/test?block=5",
            200,
            test,
        ),
        (
            "POST /api/v1/triggers/demo/watch/transfers/backtest",
            200,
            backtest,
        ),
        ("GET /api/v1/events?project=demo&limit=20", 200, &events),
        ("GET /api/v1/deadletters?project=demo&limit=20", 200, &dead),
        ("POST /api/v1/deadletters/retry?project=demo", 200, &redone),
        (
            "GET /api/v1/deadletters?project=quiet&limit=20",
            200,
            r#"{"events":[],"next":null}"#,
        ),
    ]);
    let place = Place::with_node(&mock.url);
    let demo = |args: &[&str]| place.see(&[&["--project", "demo"], args].concat());
    assert_snapshot!("triggers", demo(&["triggers"]));
    assert_snapshot!(
        "triggers_test",
        demo(&["triggers", "test", "watch/transfers", "--block", "5"])
    );
    assert_snapshot!(
        "triggers_backtest",
        demo(&[
            "triggers",
            "backtest",
            "watch/transfers",
            "--from",
            "1",
            "--to",
            "20"
        ])
    );
    assert_snapshot!("events", demo(&["events"]));
    assert_snapshot!("deadletters", demo(&["deadletters"]));
    assert_snapshot!(
        "deadletters_retry",
        demo(&["deadletters", "retry", "--from", "5", "--to", "9"])
    );
    let none = place.run(&["--project", "quiet", "deadletters"]);
    assert_eq!(
        String::from_utf8_lossy(&none.stderr),
        "no dead letters in project quiet\n"
    );
    assert_snapshot!("deadletters_which", demo(&["deadletters", "drop"]));
    assert_snapshot!(
        "trigger_unnamed",
        demo(&["triggers", "test", "watch", "--block", "5"])
    );
    assert_snapshot!(
        "trigger_on_nothing",
        demo(&["triggers", "test", "watch/transfers"])
    );
    assert_snapshot!("triggers_asked", mock.asked().join("\n"));
}

#[test]
fn a_key_comes_from_a_file_and_is_not_shown() {
    let account = format!(
        r#"{{"address":"{FROM}","account":"0xed","label":"hot","policy":{{"perTransaction":"2","perDay":"10","calls":[],"scope":"CalledByEntry","network":5}},"spent":"0"}}"#
    );
    let mock = Mock::start(&[("POST /api/v1/signer/accounts", 201, &account)]);
    let place = Place::with_node(&mock.url);
    place.file("key", "KeyOfATest\n");
    assert_snapshot!(
        "signer_import",
        place.see(&[
            "signer",
            "import",
            "--wif-file",
            "key",
            "--label",
            "hot",
            "--per-transaction",
            "2",
            "--allow",
            "GAS:transfer"
        ])
    );
    assert_snapshot!(
        "signer_no_password",
        place.see(&["signer", "import", "--nep2-file", "key"])
    );
    assert_snapshot!("signer_no_key", place.see(&["signer", "import"]));
    assert_snapshot!("signer_asked", mock.asked().join("\n"));
}
