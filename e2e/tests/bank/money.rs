//! A deposit lands, calls are charged, an empty account is refused, and a withdrawal arrives once whatever is killed.

use crate::{PRICE, WITHIN, datoshi, gas, lines, on_chain, pay_in, sound, start};
use neofn_testkit::{Cli, Neo, NodeProcess, eventually};
use serde_json::{Value, json};

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
