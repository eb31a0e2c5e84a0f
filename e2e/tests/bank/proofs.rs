//! The audit log verifies without the node, and a backup comes back with a signer that waits.

use crate::{WITHIN, gas, sound, start};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_testkit::{Cli, Neo, eventually};
use serde_json::{Value, json};

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
    let script = BASE64
        .decode(tx["script"].as_str().expect("a script"))
        .expect("base64");
    let root = shown["root"].as_str().expect("a root");
    assert!(hex::encode(script).contains(root), "the chain shows the root");
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
