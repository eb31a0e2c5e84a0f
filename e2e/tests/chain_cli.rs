//! The command line on a real private net: transfers, triggers, events, contracts, the signer.

use neofn_testkit::{Cli, NodeProcess, Output, binary, eventually};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const TO: &str = "NbgrjPmpvCPo6pYCMn52LdAX2kVffgMceW";
const THIRD_WIF: &str = "L1L3goLeSQ82BJzDoTZDqvw5fN6kb6tERdbWZgSRbHAWqME6z8Hi";
const THIRD: &str = "NdkZLF1zQBPt7qoWanSqMh4nGfyAzv8DGe";

fn contract(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/contracts")
        .join(name);
    path.display().to_string()
}

fn first(output: &Output) -> &str {
    output.stdout.lines().next().expect("a line")
}

fn json(cli: &Cli, args: &[&str]) -> Value {
    let output = cli.run(&[args, &["--json"]].concat()).expect(0);
    serde_json::from_str(&output.stdout).expect("one document")
}

/// Of the third account, whose key the signer does not hold.
const THIRD_KEY: &str = "037086fc67e36e05e30dcc561448dc01f8973e4f995e17abeea2accf5076ee5b5c";

#[test]
fn a_user_agrees_to_what_the_node_pays_and_what_waits_is_called_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_in(
        &dir.path().join("data"),
        &["--dev-chain=memory", "--dev-block-time", "2s"],
    );
    let cli = Cli::new(dir.path(), &node);
    let chain = &node.ready()["chain"];
    let wallet = chain["wallet"].as_str().expect("a wallet").to_owned();
    std::fs::write(
        dir.path().join("password"),
        chain["password"].as_str().expect("a password"),
    )
    .expect("write");

    // the user's GAS moves, and the node's account pays the fees
    let args = [
        "chain",
        "invoke",
        "GAS",
        "transfer",
        THIRD,
        TO,
        "150000000",
        "null",
    ];
    let before = first(&cli.run(&["chain", "balance", THIRD]).expect(0)).to_owned();
    let waiting = json(&cli, &[&args[..], &["--cosigner", THIRD_KEY]].concat());
    let transaction = &waiting["transaction"];
    assert_eq!(transaction["awaited"], serde_json::json!([THIRD]), "{waiting}");
    let id = transaction["id"].as_str().expect("an id");
    // other keys do not do
    let sign = |account| {
        let keys = ["--account", account, "--password-file", "password"];
        cli.run(&[&["tx", id, "--cosign", &wallet, "--wait"][..], &keys].concat())
    };
    let refused = sign(TO).expect(2);
    assert!(refused.stderr.contains("does not wait for"), "{}", refused.stderr);
    let idle = cli.run(&["tx", id, "--cancel"]).expect(1);
    assert!(idle.stderr.contains("is reserved"), "{}", idle.stderr);
    let signed = sign(THIRD).expect(0);
    assert!(
        signed.stderr.contains(&format!("as {THIRD}")) && signed.stderr.contains("halt, block "),
        "{}",
        signed.stderr
    );
    let after = first(&cli.run(&["chain", "balance", THIRD]).expect(0)).to_owned();
    assert_eq!(
        before.parse::<f64>().expect("GAS") - after.parse::<f64>().expect("GAS"),
        1.5,
        "{before} {after}"
    );
    let over = sign(THIRD).expect(2);
    assert!(over.stderr.contains("waits for no signature"), "{}", over.stderr);

    // one of the two comes into a block, never both
    let sent = json(&cli, &["chain", "transfer", TO, "2", "--no-wait"]);
    let old = sent["transaction"]["id"].as_str().expect("an id").to_owned();
    let new = json(&cli, &["tx", &old, "--cancel"]);
    assert_eq!(new["replaces"], old.as_str(), "{new}");
    let new = new["id"].as_str().expect("an id").to_owned();
    assert_eq!(json(&cli, &["tx", &old, "--cancel"])["id"], new.as_str());
    let ends = eventually("both have ended", Duration::from_secs(60), || {
        let ends = [&old, &new].map(|id| {
            node.http()
                .get(&format!("/api/v1/transactions/{id}?wait=10"))
                .json()
        });
        let ended = |end: &Value| !matches!(end["state"].as_str(), Some("signed" | "broadcast"));
        ends.iter().all(ended).then_some(ends)
    });
    let states = ends.each_ref().map(|end| end["state"].as_str().expect("a state"));
    assert!(
        matches!(states, ["replaced", "halt"] | ["halt", "replaced"]),
        "{states:?}"
    );
}

#[test]
fn a_developer_sees_and_acts_on_the_chain() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &["--dev-chain=memory", "--dev-block-time", "100ms"]);
    let outside = Cli::new(dir.path(), &node);
    let _ = outside
        .run(&["init", "watch", "--template", "gas-watch"])
        .expect(0);
    let cli = outside.inside("watch");
    let _ = cli.run(&["deploy"]).expect(0);

    // followed from before the transfer: it is seen as it fires, and as it has ended
    let mut follow = Command::new(binary())
        .args(["events", "--follow", "-n", "0", "--json", "--project", "demo"])
        .env("NEOFN_URL", node.url())
        .env("NEOFN_API_KEY", node.key())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let (lines, seen) = mpsc::channel();
    let stdout = follow.stdout.take().expect("its output");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let sent = cli.run(&["chain", "transfer", TO, "1.5"]).expect(0);
    assert!(
        sent.stderr.contains("halt, block ") && sent.stderr.contains("calls GAS.transfer"),
        "{}",
        sent.stderr
    );
    let hash = first(&sent);
    let found = json(&cli, &["chain", "tx", hash]);
    let height = found["included"]["height"].as_u64().expect("a height");
    let event = eventually("the event ends", Duration::from_secs(60), || {
        let line = seen.recv_timeout(Duration::from_secs(60)).ok()?;
        let event: Value = serde_json::from_str(&line).expect("one document a line");
        (event["height"] == height && event["invocation"]["status"] == "succeeded").then_some(event)
    });
    let _ = follow.kill();
    let _ = follow.wait();
    assert_eq!(event["trigger"], "transfers", "{event}");

    let height = height.to_string();
    for (args, code, text) in [
        (&["chain", "block", &height][..], 0, hash),
        (
            &[
                "chain",
                "notifications",
                "GAS",
                "--from",
                &height,
                "--to",
                &height,
            ],
            0,
            TO,
        ),
        (&["chain", "balance", TO], 0, "1000001.5"),
        (&["chain", "call", "GAS", "decimals"], 0, "8"),
        (&["chain", "call", "GAS", "decimal"], 2, ""),
        (&["chain", "block", "99999999"], 2, ""),
        (&["triggers"], 0, "watch/transfers"),
        (
            &["triggers", "test", "watch/transfers", "--tx", hash],
            0,
            "demo/watch/transfers would fire",
        ),
        (
            &[
                "triggers",
                "backtest",
                "watch/transfers",
                "--from",
                &height,
                "--to",
                &height,
            ],
            0,
            "1 event in blocks",
        ),
        (&["events", "--from", &height, "--to", &height], 0, " succeeded "),
        (&["deadletters"], 0, ""),
        (&["deadletters", "drop", "--all"], 0, ""),
        (&["tx"], 0, "GAS.transfer"),
        (&["signer", "signatures"], 0, hash),
        // within the policy, beyond it, beyond the fees that are allowed, and nothing sent
        (&["chain", "transfer", TO, "900"], 0, "0x"),
        (&["chain", "transfer", TO, "1001"], 2, ""),
        (&["chain", "transfer", TO, "1", "--gas", "0.001"], 2, ""),
        (&["chain", "transfer", TO, "1", "--dry-run"], 0, "0."),
    ] {
        let output = cli.run(args);
        assert!(
            output.code == code && output.stdout.contains(text),
            "{args:?}: {output:?}"
        );
    }
    let managed = json(&cli, &["tx"]);
    let id = managed["transactions"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let one = json(&cli, &["tx", &id, "--wait"]);
    assert!(one["effects"][0]["notifications"].is_array(), "{one}");

    let (nef, manifest) = (contract("answer.nef"), contract("answer.manifest.json"));
    let deployed = cli.run(&["chain", "deploy", &nef]).expect(0);
    let hash = first(&deployed);
    assert_eq!(
        first(&cli.run(&["chain", "call", hash, "answer"]).expect(0)),
        "\"42\""
    );
    let again = cli
        .run(&["chain", "deploy", &nef, "--manifest", &manifest])
        .expect(2);
    assert!(
        again.stderr.contains("is on chain already as"),
        "{}",
        again.stderr
    );
    let _ = cli
        .run(&["chain", "update", hash, "--nef", &contract("answer-next.nef")])
        .expect(0);
    assert_eq!(
        first(&cli.run(&["chain", "call", hash, "answer"]).expect(0)),
        "\"43\""
    );

    // a key from a file signs within its policy
    std::fs::write(dir.path().join("watch/key"), THIRD_WIF).expect("write");
    let policy = ["--per-transaction", "2", "--allow", "GAS:transfer"];
    let _ = cli
        .run(&[&["signer", "import", "--wif-file", "key"][..], &policy].concat())
        .expect(0);
    let _ = cli
        .run(&["chain", "transfer", TO, "1", "--account", THIRD])
        .expect(0);
    let refused = cli
        .run(&["chain", "transfer", TO, "3", "--account", THIRD])
        .expect(2);
    assert!(refused.stderr.contains("error[NF0820]"), "{}", refused.stderr);
    let _ = cli
        .run(&["signer", "policy", THIRD, "--per-transaction", "5"])
        .expect(0);
    let _ = cli
        .run(&["chain", "transfer", TO, "3", "--account", THIRD])
        .expect(0);
    assert_eq!(node.terminate(), Some(0));
}
