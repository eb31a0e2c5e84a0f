//! Money on a real private net: a deposit lands, calls are charged, an empty account is refused, a withdrawal arrives once
//! whatever is killed, the audit log verifies without the node, and a backup comes back with a signer that waits.

use neofn_testkit::{Cli, Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);
/// 0.01 GAS for a million units.
const PRICE: i64 = 1_000_000;

fn datoshi(gas: &Value) -> i64 {
    let text = gas.as_str().expect("an amount");
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = format!("{part:0<8}");
    sign * (whole.parse::<i64>().expect("a number") * 100_000_000 + part.parse::<i64>().expect("a number"))
}

fn start(data: &Path, neo: &Neo, more: &[&str]) -> NodeProcess {
    let [wallet, password] = neo
        .quick_wallet(&neo.accounts()[0])
        .map(|p| p.display().to_string());
    let rpc = neo.rpc();
    let price = PRICE.to_string();
    let common = [
        "--chain",
        &rpc,
        "--wallet",
        &wallet,
        "--wallet-password-file",
        &password,
        "--pay-max",
        "10",
        "--gas-price",
        &price,
    ];
    NodeProcess::start_in(data, &[&common, more].concat())
}

fn gas(node: &NodeProcess, project: &str) -> Value {
    node.http()
        .get(&format!("/api/v1/gas/{project}"))
        .expect(200)
        .json()
}

fn lines(node: &NodeProcess, project: &str) -> Vec<Value> {
    let answer = node
        .http()
        .get(&format!("/api/v1/gas/{project}/statement?limit=1000"));
    answer.expect(200).json()["lines"]
        .as_array()
        .expect("lines")
        .clone()
}

fn pay_in(neo: &Neo, to: &Value, amount: &str) {
    let rpc = neo.rpc();
    let memo = format!("string:{}", to["memo"].as_str().expect("a memo"));
    let said = neo.cli(
        &["wallet", "nep17", "transfer", "--force", "--await"],
        &[
            "--from",
            neo.accounts()[1].address,
            "--to",
            to["address"].as_str().expect("an address"),
            "--token",
            "GAS",
            "--amount",
            amount,
            "-r",
            &rpc,
            &memo,
        ],
    );
    assert!(said.contains("0x") || !said.is_empty(), "{said}");
}

fn on_chain(neo: &Neo, address: &str) -> i64 {
    let balances = neo.call("getnep17balances", json!([address]));
    let gas = "0xd2a4cff31913016155e38e474a2c06d08be276cf";
    let found = balances["balance"]
        .as_array()
        .expect("balances")
        .iter()
        .find(|b| b["assethash"] == gas);
    found.map_or(0, |b| {
        b["amount"]
            .as_str()
            .expect("an amount")
            .parse()
            .expect("a number")
    })
}

/// Waits until ledger and chain speak of the same block, and demands that they agree.
fn sound(node: &NodeProcess) -> Value {
    eventually("ledger and chain agree", WITHIN, || {
        let seen = node.http().get("/api/v1/gas").expect(200).json();
        assert_eq!(seen["sum"], "0", "{seen}");
        let chain = &seen["chain"];
        let together = chain["next"].as_u64()? == chain["height"].as_u64()? + 1;
        (together && seen["sound"] == true && chain["chain"] == chain["ledger"] && chain["open"] == 0)
            .then(|| seen.clone())
    })
}

#[test]
fn money_comes_in_is_used_and_goes_out() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let node = start(&data, &neo, &[]);
    let _ = node.http().deploy(
        "shop",
        "hello",
        "export const handler = (e) => ({ hello: e.name });",
    );

    // nothing was paid in: refused before it runs, with the way out
    let refused = node
        .http()
        .invoke("shop", "hello", &json!({"name": "Neo"}))
        .expect(402)
        .json();
    assert_eq!(refused["code"], "NF1301", "{refused}");
    assert!(
        refused["hint"]
            .as_str()
            .expect("a hint")
            .contains("neofn gas deposit"),
        "{refused}"
    );
    let queued = node.http().send(
        "POST",
        "/api/v1/functions/shop/hello?mode=async",
        b"{}",
        &[("content-type", "application/json")],
    );
    assert_eq!(queued.expect(402).code(), "NF1301");

    // a transfer with the memo lands on the account, whoever sends it
    let to = node.http().get("/api/v1/gas/shop/deposit").expect(200).json();
    pay_in(&neo, &to, "2.5");
    eventually("the deposit is seen", WITHIN, || {
        (gas(&node, "shop")["balance"] == "2.5").then_some(())
    });

    // a call costs its units at the price, rounded up, and no more
    let run = node
        .http()
        .invoke("shop", "hello", &json!({"name": "Neo"}))
        .expect(200)
        .json();
    let units = run["units"]["total"].as_i64().expect("units");
    let cost = (units * PRICE).div_euclid(1_000_000) + i64::from((units * PRICE) % 1_000_000 > 0);
    eventually("the call is charged", WITHIN, || {
        (datoshi(&gas(&node, "shop")["balance"]) == 250_000_000 - cost).then_some(())
    });
    let charge = lines(&node, "shop")
        .into_iter()
        .find(|l| l["purpose"] == "charge")
        .expect("a charge");
    assert_eq!(charge["invocation"], run["invocationId"], "{charge}");
    assert_eq!(
        (charge["units"].as_i64(), charge["price"].as_i64()),
        (Some(units), Some(PRICE))
    );

    // a queued call is charged once, at its end
    let accepted = node
        .http()
        .send(
            "POST",
            "/api/v1/functions/shop/hello?mode=async",
            b"{\"name\":\"later\"}",
            &[("content-type", "application/json")],
        )
        .expect(202)
        .json();
    let id = accepted["invocationId"].as_str().expect("an id").to_owned();
    eventually("the queued call is charged", WITHIN, || {
        let of = |l: &&Value| l["invocation"] == id.as_str() && l["purpose"] == "charge";
        let all = lines(&node, "shop");
        (all.iter().filter(of).count() == 1).then_some(())
    });

    // limits: of a function and of the project
    let limit = json!({"function": "hello", "period": "day", "limit": "0.00000001"});
    let put = |body: &Value| {
        node.http().send(
            "PUT",
            "/api/v1/gas/shop/limits",
            body.to_string().as_bytes(),
            &[("content-type", "application/json")],
        )
    };
    let _ = put(&limit).expect(200);
    assert_eq!(
        node.http().invoke("shop", "hello", &json!({})).expect(402).code(),
        "NF1302"
    );
    let _ = put(&json!({"function": "hello", "period": "day", "limit": null})).expect(200);
    let _ = node.http().invoke("shop", "hello", &json!({})).expect(200);

    // the command line says the same
    let cli = Cli::new(dir.path(), &node);
    let shown = cli.run(&["gas", "balance", "--project", "shop"]).expect(0);
    assert!(shown.stdout.contains("to spend"), "{}", shown.stdout);
    let csv = cli
        .run(&["gas", "statement", "--csv", "--project", "shop"])
        .expect(0);
    assert!(
        csv.stdout.starts_with("time,project,entry,gas,"),
        "{}",
        csv.stdout
    );
    assert!(csv.stdout.contains(",deposit,2.5,"), "{}", csv.stdout);

    // a withdrawal is asked for under one name, over and over and through kill -9, and arrives once
    let out = neo.accounts()[2].address;
    let before = on_chain(&neo, out);
    let ask = |node: &NodeProcess| {
        node.http()
            .send(
                "POST",
                "/api/v1/gas/shop/withdrawals",
                json!({"amount": "1.25", "to": out}).to_string().as_bytes(),
                &[("content-type", "application/json"), ("idempotency-key", "rent")],
            )
            .expect(202)
            .json()
    };
    let first = ask(&node);
    node.kill_hard();
    let mut node = start(&data, &neo, &[]);
    assert_eq!(ask(&node)["id"], first["id"]);
    for _ in 0..3 {
        node.kill_hard();
        node = start(&data, &neo, &[]);
    }
    eventually("the withdrawal arrives", WITHIN, || {
        (on_chain(&neo, out) == before + 125_000_000).then_some(())
    });
    eventually("the withdrawal ends", WITHIN, || {
        (ask(&node)["state"] == "ended").then_some(())
    });
    let settled = sound(&node);
    assert_eq!(settled["chain"]["transit"], "0", "{settled}");
    let at = neo.height();
    neo.wait_for_height(at + 5);
    assert_eq!(on_chain(&neo, out), before + 125_000_000, "paid once");
    let paid: Vec<_> = lines(&node, "shop")
        .into_iter()
        .filter(|l| l["purpose"] == "withdrawal")
        .collect();
    assert_eq!(paid.len(), 1, "{paid:?}");
    let log = node.http().get("/api/v1/audit?limit=1000").expect(200).body;
    assert!(log.contains("gas.withdraw"), "{log}");

    // the report says what was used, as the statement does
    let used = node.http().get("/api/v1/gas/shop/usage").expect(200).json();
    let of = |name: &str| -> u64 {
        let lines = used["lines"].as_array().expect("lines").iter();
        lines.map(|l| l[name].as_u64().expect("a number")).sum()
    };
    let charges: Vec<_> = lines(&node, "shop")
        .into_iter()
        .filter(|l| l["purpose"] == "charge")
        .collect();
    assert_eq!(of("invocations"), u64::try_from(charges.len()).expect("few"));
    let units: u64 = charges.iter().map(|l| l["units"].as_u64().expect("units")).sum();
    assert_eq!(of("units"), units);
    let billed: i64 = used["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|l| datoshi(&l["amount"]))
        .sum();
    assert_eq!(
        billed,
        -charges.iter().map(|l| datoshi(&l["amount"])).sum::<i64>()
    );
    let cli = Cli::new(dir.path(), &node);
    let csv = cli
        .run(&[
            "gas",
            "usage",
            "--csv",
            "--function",
            "hello",
            "--project",
            "shop",
        ])
        .expect(0);
    assert!(
        csv.stdout
            .starts_with("hour,project,function,invocations,units,gas"),
        "{}",
        csv.stdout
    );
    let early = [
        "gas",
        "usage",
        "--until",
        "2020-01-01",
        "--json",
        "--project",
        "shop",
    ];
    assert!(cli.run(&early).expect(0).stdout.contains("\"lines\":[]"));

    // money without a memo waits for the operator, and is nobody's until the operator says whose
    neo.pay_gas(to["address"].as_str().expect("an address"), "3");
    let seen = sound(&node);
    assert_eq!(seen["chain"]["transit"], "0", "{seen}");
    let waiting = eventually("the deposit waits", WITHIN, || {
        let all = node.http().get("/api/v1/suspense").expect(200).json();
        all["deposits"].as_array()?.first().cloned()
    });
    assert_eq!(
        (&waiting["amount"], &waiting["given_to"]),
        (&json!("3"), &Value::Null),
        "{waiting}"
    );
    let deposit = waiting["id"].as_str().expect("an id");
    let before = datoshi(&gas(&node, "shop")["balance"]);
    let _ = cli
        .run(&["gas", "attribute", deposit, "--project", "nowhere"])
        .expect(2);
    let _ = cli
        .run(&["gas", "attribute", deposit, "--project", "shop"])
        .expect(0);
    assert_eq!(datoshi(&gas(&node, "shop")["balance"]), before + 300_000_000);
    let shown = cli.run(&["gas", "suspense"]).expect(0);
    assert!(shown.stdout.contains("shop"), "{}", shown.stdout);
    let log = node.http().get("/api/v1/audit").expect(200).body;
    assert!(log.contains("gas.attribute") && log.contains(deposit), "{log}");

    // the end: its own money goes where it says
    let _ = cli.run(&["gas", "close", "--project", "shop"]).expect(2);
    let out = neo.accounts()[2].address;
    let before = on_chain(&neo, out);
    let closed = cli
        .run(&[
            "gas",
            "close",
            out,
            "--idempotency-key",
            "end",
            "--json",
            "--project",
            "shop",
        ])
        .expect(0);
    let closed: Value = serde_json::from_str(&closed.stdout).expect("JSON");
    let sent = datoshi(&closed["withdrawal"]["amount"]);
    assert!(sent > 300_000_000, "{closed}");
    eventually("the rest arrives", WITHIN, || {
        (on_chain(&neo, out) == before + sent).then_some(())
    });
    sound(&node);
    assert_eq!(node.terminate(), Some(0));
}

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

/// An export whose claims are false, and one that ends at an older signature: who has the key can make both.
fn attacks_on_what_the_chain_knows(
    cli: &Cli,
    neo: &Neo,
    dir: &tempfile::TempDir,
    export: &str,
    [key, root]: &[&str; 2],
    anchor: &Value,
) {
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("write");
        path.display().to_string()
    };
    let verify = |path: &str, more: &[&str]| {
        let mut args = vec!["audit", "verify", path, "--key", key];
        args.extend(more);
        cli.run(&args)
    };
    let whole = file("audit.jsonl", export);
    let known = format!("{}:{root}", anchor["size"]);
    let shown = verify(&whole, &["--root", &known, "--chain", &neo.rpc()]).expect(0);
    assert!(!shown.stdout.contains("claims"), "{shown:?}");
    let shown = verify(&whole, &[]).expect(0);
    assert!(shown.stdout.contains("claims to be on chain"), "{shown:?}");
    assert!(shown.stderr.contains("--root"), "{shown:?}");
    let other = format!("{}:{}", anchor["size"], "00".repeat(32));
    let refused = verify(&whole, &["--root", &other]);
    assert!(
        refused.code != 0 && refused.stderr.contains("NF1402"),
        "{refused:?}"
    );

    let transaction = anchor["transaction"].as_str().expect("a hash");
    let fake = format!("0xdeadbeef{}", &transaction[10..]);
    let claims = file("claims.jsonl", &export.replace(transaction, &fake));
    let refused = verify(&claims, &["--chain", &neo.rpc()]);
    assert!(
        refused.code != 0 && refused.stderr.contains("NF1402") && refused.stderr.contains(&fake),
        "{refused:?}"
    );

    // something is done after the first signature; then the entries up to that one, with it alone
    let before = export.lines().filter(|l| l.starts_with("{\"entry\"")).count();
    let _ = cli.run(&["projects", "create", "later"]).expect(0);
    let (newest, export) = eventually("what was done since is signed", WITHIN, || {
        let export = cli.run(&["audit", "export"]).expect(0).stdout;
        let shown = verify(&file("newest.jsonl", &export), &["--json"]);
        let newest: Value = serde_json::from_str(&shown.stdout).ok()?;
        let signed = newest["whole"] == true && newest["entries"].as_u64()? > u64::try_from(before).ok()?;
        signed.then_some((newest, export))
    });
    let note = export
        .lines()
        .find(|l| l.starts_with("{\"checkpoint\""))
        .expect("a signature");
    let size: usize = note
        .split("\\n")
        .nth(1)
        .expect("its size")
        .parse()
        .expect("a number");
    let total = export.lines().filter(|l| l.starts_with("{\"entry\"")).count();
    let mut early: Vec<&str> = export.lines().take(1 + size).collect();
    early.push(note);
    let early = file("early.jsonl", &early.join("\n"));
    let _ = verify(&early, &[]).expect(0);
    assert!(size < total, "{size} of {total}");
    let known = format!("{total}:{}", newest["root"].as_str().expect("a root"));
    let refused = verify(&early, &["--root", &known]);
    assert!(
        refused.code != 0 && refused.stderr.contains("NF1402") && refused.stderr.contains("cut off"),
        "{refused:?}"
    );
}

#[test]
fn what_was_done_is_proved_without_the_node_and_a_backup_comes_back_locked() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let node = start(&data, &neo, &["--audit-anchor", "1s", "--gas-initial", "1"]);
    let cli = Cli::new(dir.path(), &node);
    let _ = cli.run(&["projects", "create", "shop"]);
    let _ = node
        .http()
        .deploy("shop", "hello", "export const handler = () => 1;");
    let _ = node.http().invoke("shop", "hello", &json!({})).expect(200);
    let _ = cli
        .run(&["gas", "limits", "5", "--period", "month", "--project", "shop"])
        .expect(0);
    let anchored = eventually("the root is on chain", WITHIN, || {
        let head = node.http().get("/api/v1/audit/checkpoint").expect(200).json();
        let anchor = head["anchors"]
            .as_array()?
            .iter()
            .find(|a| a["transaction"].is_string())?
            .clone();
        Some((anchor, head["key"].as_str()?.to_owned()))
    });
    let (anchor, key) = anchored;

    // an export verifies without any node, and shows what the chain must say
    let export = cli.run(&["audit", "export"]).expect(0).stdout;
    let file = dir.path().join("audit.jsonl");
    std::fs::write(&file, &export).expect("write");
    let path = file.display().to_string();
    let verify = |path: &str| cli.run(&["audit", "verify", path, "--key", &key, "--json"]);
    let verified: Value = serde_json::from_str(&verify(&path).expect(0).stdout).expect("JSON");
    assert_eq!(verified["whole"], true, "{verified}");
    let shown = &verified["anchors"][0];
    assert_eq!(shown["transaction"], anchor["transaction"], "{verified}");
    let tx = neo.call(
        "getrawtransaction",
        json!([anchor["transaction"].as_str().expect("a hash"), true]),
    );
    let script = tx["script"].as_str().expect("a script");
    let root = shown["root"].as_str().expect("a root");
    assert!(base64_hex(script).contains(root), "the chain shows the root");
    let forged = dir.path().join("forged.jsonl");
    std::fs::write(&forged, export.replacen("gas.limit", "gas.limits", 1)).expect("write");
    assert_ne!(verify(&forged.display().to_string()).code, 0);
    let cut = dir.path().join("cut.jsonl");
    let without: Vec<&str> = export.lines().filter(|l| !l.contains("gas.limit")).collect();
    std::fs::write(&cut, without.join("\n")).expect("write");
    assert_ne!(verify(&cut.display().to_string()).code, 0);
    attacks_on_what_the_chain_knows(&cli, &neo, &dir, &export, &[&key, root], shown);

    sound(&node);
    // the drill: a backup while it runs, verified, restored elsewhere
    let identity = dir.path().join("backup.key").display().to_string();
    let recipient = cli.run(&["backup", "keygen", &identity]).expect(0).stdout;
    let made = cli
        .run(&["backup", "create", "--recipient", recipient.trim()])
        .expect(0);
    let backup = made.stdout.lines().next().expect("a file").to_owned();
    let _ = cli
        .run(&["backup", "verify", &backup, "--identity", &identity])
        .expect(0);
    // a changed bit is damage, and a file that is not there is neither that nor a full disk
    let mut bytes = std::fs::read(&backup).expect("the backup");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let broken = dir.path().join("broken.age");
    std::fs::write(&broken, bytes).expect("write");
    for (file, code) in [(broken, "NF1403"), (dir.path().join("none.age"), "none.age")] {
        let file = file.display().to_string();
        let refused = cli.run(&["backup", "verify", &file, "--identity", &identity]);
        assert_ne!(refused.code, 0);
        assert!(
            refused.stderr.contains(code) && !refused.stderr.contains("NF0902"),
            "{}",
            refused.stderr
        );
    }
    // things go on: the backup knows less from here
    let _ = cli
        .run(&["gas", "limits", "6", "--period", "month", "--project", "shop"])
        .expect(0);
    let later = dir.path().join("later.jsonl");
    std::fs::write(&later, cli.run(&["audit", "export"]).expect(0).stdout).expect("write");
    let balance = gas(&node, "shop")["balance"].clone();
    let in_backup: Value = serde_json::from_str(
        &cli.run(&["backup", "verify", &backup, "--identity", &identity, "--json"])
            .expect(0)
            .stdout,
    )
    .expect("JSON");
    eventually("a later root is on chain", WITHIN, || {
        let head = node.http().get("/api/v1/audit/checkpoint").expect(200).json();
        let mut anchors = head["anchors"].as_array()?.iter();
        anchors
            .any(|a| a["transaction"].is_string() && a["size"].as_u64() > in_backup["audit_size"].as_u64())
            .then_some(())
    });
    sound(&node);
    assert_eq!(node.terminate(), Some(0));

    let restored = dir.path().join("restored");
    let to = restored.display().to_string();
    // a header is of this log and says nothing of it
    let header = dir.path().join("header.jsonl");
    std::fs::write(&header, export.lines().next().expect("a header")).expect("write");
    let header = header.display().to_string();
    let restore = |known: &str, more: &[&str]| {
        let args = [
            "backup",
            "restore",
            &backup,
            "--identity",
            &identity,
            "--data",
            &to,
            "--known",
            known,
        ];
        cli.run(&[&args[..], more].concat())
    };
    let refused = restore(&header, &[]);
    assert!(
        refused.code != 0 && refused.stderr.contains("NF1402"),
        "{}",
        refused.stderr
    );
    assert_ne!(cli.run(&["audit", "verify", &header, "--key", &key]).code, 0);
    let known = later.display().to_string();
    let stale = restore(&known, &[]);
    assert_ne!(stale.code, 0);
    assert!(stale.stderr.contains("NF1404"), "{}", stale.stderr);
    let _ = restore(&known, &["--accept-rollback"]).expect(0);
    assert!(restored.join("restored.json").exists());
    assert_ne!(restore(&known, &["--accept-rollback"]).code, 0, "never over data");

    // it waits until ledger and chain agree, and only then signs
    let node = start(&restored, &neo, &[]);
    let cli = Cli::new(dir.path(), &node);
    eventually("the ledger has caught up", WITHIN, || {
        let seen = node.http().get("/api/v1/gas").expect(200).json();
        let chain = &seen["chain"];
        (chain["next"].as_u64()? == chain["height"].as_u64()? + 1).then_some(())
    });
    // an anchor that the backup did not know of has cost fees
    let _ = cli.run(&["gas", "reconcile", "--write-off", "restore"]);
    eventually("the signer is unlocked", WITHIN, || {
        (!restored.join("restored.json").exists()).then_some(())
    });
    assert_eq!(gas(&node, "shop")["balance"], balance);
    let log = node.http().get("/api/v1/audit?limit=1000").expect(200).json();
    let unlocked = log["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .any(|e| e["action"] == "signer.unlock");
    assert!(unlocked, "{log}");
    assert_eq!(node.terminate(), Some(0));

    // without an export the restore knows nothing of what came later; the chain does, and the signer stays locked
    let unknowing = dir.path().join("unknowing");
    let to = unknowing.display().to_string();
    let args = [
        "backup",
        "restore",
        &backup,
        "--identity",
        &identity,
        "--data",
        &to,
    ];
    let _ = cli.run(&args).expect(0);
    let node = start(&unknowing, &neo, &[]);
    let mark = eventually("the later root is found on chain", WITHIN, || {
        let mark: Value =
            serde_json::from_str(&std::fs::read_to_string(unknowing.join("restored.json")).ok()?).ok()?;
        mark["anchored_beyond"]["size"].is_u64().then_some(mark)
    });
    assert!(
        mark["anchored_beyond"]["size"].as_u64() > in_backup["audit_size"].as_u64(),
        "{mark}"
    );
    let cli = Cli::new(dir.path(), &node);
    let _ = cli.run(&["gas", "reconcile", "--write-off", "restore"]);
    sound(&node);
    let at = neo.height();
    neo.wait_for_height(at + 5);
    assert!(
        unknowing.join("restored.json").exists(),
        "agreement alone does not unlock it"
    );
    assert!(node.stderr().contains("--accept-rollback"), "{}", node.stderr());
    // what cannot be signed sets nothing aside
    let held = gas(&node, "shop")["held"].clone();
    let asked = json!({"amount": "0.01", "to": neo.accounts()[2].address});
    let refused = node
        .http()
        .post("/api/v1/gas/shop/withdrawals", &asked)
        .expect(503);
    assert_eq!(refused.code(), "NF1306");
    assert_eq!(gas(&node, "shop")["held"], held);
    assert_eq!(node.terminate(), Some(0));
}

fn base64_hex(text: &str) -> String {
    let mut bits = 0u32;
    let mut have = 0;
    let mut hex = String::new();
    for c in text.bytes().filter(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = (bits << 6) | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            hex.push_str(&format!("{:02x}", (bits >> have) & 0xff));
        }
    }
    hex
}
