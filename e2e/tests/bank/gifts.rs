//! What functions pay for and give away on chain is their project's, once whatever is killed.

use crate::{WITHIN, datoshi, gas, lines, on_chain, pay_in, sound, start};
use neofn_testkit::{Cli, Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

#[test]
fn a_functions_transactions_are_paid_by_whom_was_agreed() {
    const PAY: &str = "export async function handler(e, ctx) {
      const own = await ctx.neo.account();
      const { hash, fee } = await ctx.neo.invoke('GAS', 'transfer', [own, own, '0', null], { confirm: true });
      return { hash, fee };
    }";
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(&dir.path().join("data"), &neo, &[]);
    let allow = json!({"chain": {"write": {"contracts": ["GAS"], "gas": "0.5"}}});
    let function = json!({"function_name": "pay", "source": PAY, "allow": allow});
    let _ = node.http().deploy_with("shop", function).expect(201);
    let to = node.http().get("/api/v1/gas/shop/deposit").expect(200).json();
    pay_in(&neo, &to, "2");
    eventually("the deposit is seen", WITHIN, || {
        (gas(&node, "shop")["balance"] == "2").then_some(())
    });
    let fee_of = |hash: &Value, purpose: &str| {
        eventually("the fee is written", WITHIN, || {
            let line = lines(&node, "shop")
                .into_iter()
                .find(|l| l["transaction"] == *hash);
            line.filter(|l| l["purpose"] == purpose)
        })
    };
    let run = node.http().invoke("shop", "pay", &json!({})).expect(200).json();
    let hash = run["result"]["hash"].clone();
    let line = fee_of(&hash, "network-fee");
    let log = neo.call("getrawtransaction", json!([hash, true]));
    let burnt: i64 = ["sysfee", "netfee"]
        .iter()
        .map(|f| log[*f].as_str().expect("a fee").parse::<i64>().expect("a number"))
        .sum();
    assert_eq!(-datoshi(&line["amount"]), burnt, "{line}");
    assert_eq!(
        (&line["function"], &line["invocation"]),
        (&json!("pay"), &run["invocationId"])
    );
    sound(&node);

    // sponsored: the operator's, and the project sees its charges alone
    let cli = Cli::new(dir.path(), &node);
    // for what does not exist nothing is agreed: whoever makes it later would have it
    for (method, path, body, code) in [
        (
            "PUT",
            "/api/v1/gas/ghost/refill",
            r#"{"below":"1","to":"5"}"#,
            "NF0316",
        ),
        (
            "PUT",
            "/api/v1/gas/shop/limits",
            r#"{"function":"nope","period":"day","limit":"1"}"#,
            "NF0301",
        ),
    ] {
        let answer = node.http().send(
            method,
            path,
            body.as_bytes(),
            &[("content-type", "application/json")],
        );
        assert_eq!(answer.expect(404).code(), code, "{path}");
    }
    let _ = cli
        .run(&["gas", "refill", "--sponsor", "true", "--project", "shop"])
        .expect(0);
    let run = node.http().invoke("shop", "pay", &json!({})).expect(200).json();
    let hash = run["result"]["hash"].clone();
    sound(&node);
    assert!(lines(&node, "shop").iter().all(|l| l["transaction"] != hash));
    let fees = lines(&node, "shop")
        .iter()
        .filter(|l| l["purpose"] == "network-fee")
        .count();
    assert_eq!(fees, 1);
    assert_eq!(node.terminate(), Some(0));
}

const GIVE: &str = "export async function handler(e, ctx) {
  const own = await ctx.neo.account();
  try {
    const args = [own, e.to, e.amount, null];
    return await ctx.neo.invoke(e.token ?? 'GAS', 'transfer', args, { confirm: e.confirm ?? true });
  } catch (error) { return { code: error.code, message: error.message }; }
}";

/// A node with a function `give` of project `shop`, which has 2 GAS of its own.
fn giving(data: &Path, neo: &Neo, more: &[&str]) -> NodeProcess {
    let node = start(data, neo, more);
    let allow = json!({"chain": {"write": {"contracts": ["GAS", "NEO"], "gas": "0.5"}}});
    let function = json!({"function_name": "give", "source": GIVE, "allow": allow});
    let _ = node.http().deploy_with("shop", function).expect(201);
    let to = node.http().get("/api/v1/gas/shop/deposit").expect(200).json();
    let before = datoshi(&gas(&node, "shop")["balance"]);
    pay_in(neo, &to, "2");
    eventually("the deposit is seen", WITHIN, || {
        (datoshi(&gas(&node, "shop")["balance"]) == before + 200_000_000).then_some(())
    });
    node
}

/// Calls it; its result.
fn give(node: &NodeProcess, event: &Value) -> Value {
    node.http().invoke("shop", "give", event).expect(200).json()["result"].clone()
}

fn of_purpose(node: &NodeProcess, purpose: &str) -> Vec<Value> {
    let mut all = lines(node, "shop");
    all.retain(|l| l["purpose"] == purpose);
    all
}

/// Nothing is set aside but what calls are charged from, 0.1 GAS.
fn only_a_lease(node: &NodeProcess) {
    let seen = gas(node, "shop");
    assert!(datoshi(&seen["held"]) <= 10_000_000, "{seen}");
}

#[test]
fn what_a_function_gives_away_is_its_projects() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let node = giving(&data, &neo, &["--gas-initial", "5"]);
    let out = neo.accounts()[2].address;
    let own = neo.accounts()[0].address;
    let before = on_chain(&neo, out);

    // 5 GAS of credit and 2 of its own: more than its own does not leave, and nothing was signed
    let refused = give(&node, &json!({"to": out, "amount": "300000000"}));
    assert_eq!(refused["code"], "NF1301", "{refused}");
    assert_eq!(
        node.http()
            .get("/api/v1/transactions?project=shop")
            .expect(200)
            .json()["transactions"],
        json!([])
    );
    only_a_lease(&node);

    // what it has leaves its account as it leaves the chain's
    let done = give(&node, &json!({"to": out, "amount": "50000000"}));
    assert_eq!(done["state"], "halt", "{done}");
    assert_eq!(on_chain(&neo, out), before + 50_000_000);
    let line = eventually("it is written", WITHIN, || of_purpose(&node, "transfer").pop());
    assert_eq!(
        (&line["amount"], &line["transaction"], &line["party"]),
        (&json!("-0.5"), &done["hash"], &json!(out)),
        "{line}"
    );
    assert_eq!(line["function"], "give");
    let fee = of_purpose(&node, "network-fee").pop().expect("its fee");
    assert_eq!(
        (&fee["transaction"], &fee["amount"]),
        (&done["hash"], &json!(format!("-{}", shown(&done["fee"]))))
    );
    let seen = sound(&node);
    assert_eq!(seen["chain"]["transit"], "0", "{seen}");

    // into its own hand it moves nothing
    let _ = give(&node, &json!({"to": own, "amount": "99900000000"}));
    assert_eq!(of_purpose(&node, "transfer").len(), 1);

    // a limit of the function bounds it, and counts the half GAS that it gave away already
    let cli = Cli::new(dir.path(), &node);
    let limit = [
        "gas",
        "limits",
        "0.8",
        "--period",
        "day",
        "--function",
        "give",
        "--project",
        "shop",
    ];
    let _ = cli.run(&limit).expect(0);
    let refused = give(&node, &json!({"to": out, "amount": "30000000"}));
    assert_eq!(refused["code"], "NF1302", "{refused}");
    let _ = cli
        .run(&[
            "gas",
            "limits",
            "none",
            "--period",
            "day",
            "--function",
            "give",
            "--project",
            "shop",
        ])
        .expect(0);

    // other tokens are the platform's, unless the operator names them; then the signer's policy has its say
    let neos = json!({"token": "NEO", "to": out, "amount": "1"});
    let refused = give(&node, &neos);
    assert_eq!(refused["code"], "NF1308", "{refused}");
    let named = cli
        .run(&["gas", "refill", "--token", "NEO", "--project", "shop"])
        .expect(0);
    assert!(
        named
            .stdout
            .contains("0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"),
        "{}",
        named.stdout
    );
    let refused = give(&node, &neos);
    assert_eq!(refused["code"], "NF0820", "{refused}");
    only_a_lease(&node);

    // on behalf of the project by the command line: the same account, the same limits
    let pay = |more: &[&str]| {
        let args = ["chain", "transfer", out, "0.25", "--project", "shop"];
        cli.run(&[&args[..], more].concat())
    };
    let _ = pay(&[]).expect(0);
    eventually("it is written", WITHIN, || {
        let all = of_purpose(&node, "transfer");
        (all.len() == 2 && all.iter().any(|l| l["amount"] == "-0.25")).then_some(())
    });
    let refused = cli.run(&["chain", "transfer", out, "1.5", "--project", "shop"]);
    assert!(refused.stderr.contains("NF1301"), "{}", refused.stderr);
    // the operator's own is the operator's
    let _ = cli
        .run(&["chain", "transfer", out, "1.5", "--project", "shop", "--operator"])
        .expect(0);
    assert_eq!(
        on_chain(&neo, out),
        before + 50_000_000 + 25_000_000 + 150_000_000
    );
    let seen = sound(&node);
    assert_eq!(seen["chain"]["transit"], "0", "{seen}");
    assert_eq!(of_purpose(&node, "transfer").len(), 2);
    assert_eq!(node.terminate(), Some(0));
}

/// Digits after the point as amounts have them.
fn shown(fee: &Value) -> String {
    let datoshi: i64 = fee
        .as_str()
        .expect("an amount")
        .parse()
        .unwrap_or_else(|_| datoshi(fee));
    let text = format!("{}.{:08}", datoshi / 100_000_000, datoshi % 100_000_000);
    text.trim_end_matches('0').to_owned()
}

#[test]
fn gifts_under_kill_9_leave_once_and_are_charged_once() {
    const GIFTS: usize = 6;
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut node = giving(&data, &neo, &[]);
    let out = neo.accounts()[2].address;
    let before = on_chain(&neo, out);
    for n in 0..GIFTS {
        let event = json!({"to": out, "amount": "10000000", "n": n, "confirm": false}).to_string();
        let key = format!("gift-{n}");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ];
        let asked = node.http().send(
            "POST",
            "/api/v1/functions/shop/give?mode=async",
            event.as_bytes(),
            &headers,
        );
        let _ = asked.expect(202);
        // at a moment that is another one each time
        std::thread::sleep(Duration::from_millis(37 * u64::try_from(n).expect("few")));
        node.kill_hard();
        node = start(&data, &neo, &[]);
    }
    let all = 10_000_000 * i64::try_from(GIFTS).expect("few");
    eventually("all of it arrives", WITHIN, || {
        (on_chain(&neo, out) == before + all).then_some(())
    });
    eventually("all of it is written", WITHIN, || {
        (of_purpose(&node, "transfer").len() == GIFTS && gas(&node, "shop")["held"] == "0").then_some(())
    });
    let seen = sound(&node);
    assert_eq!(seen["chain"]["transit"], "0", "{seen}");
    let at = neo.height();
    neo.wait_for_height(at + 5);
    assert_eq!(on_chain(&neo, out), before + all, "once");
    let sum: i64 = of_purpose(&node, "transfer")
        .iter()
        .map(|l| datoshi(&l["amount"]))
        .sum();
    assert_eq!(sum, -all);
    sound(&node);
    assert_eq!(node.terminate(), Some(0));
}
