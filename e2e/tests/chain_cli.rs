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
