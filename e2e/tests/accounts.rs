//! People and what they may do, from outside: signatures of neon-js sign in over HTTP, sessions end as they should,
//! projects have members with roles and keys with scopes, and the command line does the same.

mod support;

use neofn_testkit::{Answer, Cli, Http, NodeProcess, eventually};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::people::{self, Ask, NETWORK, Person, login_body};

const LAYOUTS: [&str; 7] = [
    "classic",
    "without-salt",
    "ledger",
    "plain",
    "nep20-onegate",
    "nep20-neon-dapi",
    "nep20-neoline",
];
const HELLO: &str = "export function handler(event) { return { hello: event?.name ?? 'nobody' }; }";

fn challenge(open: &Http, address: &str) -> Value {
    open.post("/auth/challenge", &json!({"address": address}))
        .expect(200)
        .json()
}
fn login(open: &Http, address: &str, challenge: &Value, layout: &Value) -> Answer {
    open.post("/auth/login", &login_body(address, &challenge["nonce"], layout))
}
fn with(node: &NodeProcess, token: &Value) -> Http {
    Http::new(node.url(), Some(token.as_str().unwrap()))
}
fn refused(answer: &Answer, code: &str, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, code),
        "{what}: {answer:?}"
    );
}

#[test]
fn each_layout_of_neon_js_signs_in_once() {
    let dir = tempfile::tempdir().unwrap();
    // without it NeoLine's NEP-20 is refused, as below
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--accept-domainless"]);
    let open = node.anonymous();
    let (one, two) = (people::address(1), people::address(2));
    for layout in LAYOUTS {
        let asked = challenge(&open, &one);
        let message = asked["message"].as_str().unwrap();
        assert!(message.contains(&format!("\nURI: {}\n", node.url())), "{message}");
        assert_eq!(asked["nep20"]["networks"], json!([NETWORK]));
        let layouts = Ask::of(&asked, 1).signed()["layouts"].take();
        let mine = &layouts[layout];
        refused(&login(&open, &two, &asked, mine), "NF0404", "somebody else's");
        let other = challenge(&open, &one);
        refused(&login(&open, &one, &other, mine), "NF0404", "another challenge");
        let tokens = login(&open, &one, &asked, mine).expect(200).json();
        refused(&login(&open, &one, &asked, mine), "NF0405", "replayed");
        let who = with(&node, &tokens["access_token"])
            .get("/auth/whoami")
            .expect(200)
            .json();
        assert_eq!(
            (&who["kind"], &who["id"], &who["operator"]),
            (&json!("account"), &json!(one), &json!(false)),
            "{layout}"
        );
    }
}

#[test]
fn what_was_signed_elsewhere_late_or_for_another_network_is_refused() {
    let node = NodeProcess::start();
    let open = node.anonymous();
    let one = people::address(1);
    let asked = challenge(&open, &one);
    let here = Ask::of(&asked, 1);
    let domain = here.domain.clone();
    let evil = Ask {
        message: here.message.replace(&domain, "evil.example"),
        domain: "evil.example".to_owned(),
        ..Ask::of(&asked, 1)
    };
    let network = Ask {
        message: here.message.replace(&NETWORK.to_string(), "894710606"),
        network: 894_710_606,
        ..Ask::of(&asked, 1)
    };
    for (ask, what) in [(&evil, "domain"), (&network, "network")] {
        assert_ne!(ask.message, here.message, "{what}");
        let layouts = ask.signed()["layouts"].take();
        for layout in LAYOUTS {
            let answer = login(&open, &one, &asked, &layouts[layout]);
            refused(&answer, "NF0404", &format!("{layout}: {what}"));
        }
    }
    // NEP-20 answers carry their own time; what was signed an hour ago, or will be, is none of today's
    for timestamp in [people::now_s() - 3_600, people::now_s() + 3_600] {
        let layouts = Ask {
            timestamp,
            ..Ask::of(&asked, 1)
        }
        .signed()["layouts"]
            .take();
        for layout in LAYOUTS.iter().filter(|l| l.starts_with("nep20")) {
            refused(
                &login(&open, &one, &asked, &layouts[*layout]),
                "NF0404",
                &format!("{layout}: at {timestamp}"),
            );
        }
    }
    // the other of the two signatures that a key can make
    let mut high = here.signed()["layouts"]["classic"].take();
    high["signature"] = json!(other_form(high["signature"].as_str().unwrap()));
    refused(&login(&open, &one, &asked, &high), "NF0404", "the higher form");
    // all of that used nothing up
    let good = here.signed()["layouts"]["classic"].take();
    let _ = login(&open, &one, &asked, &good).expect(200);
}

/// s becomes n - s, which anybody can compute and which verifies just as well.
fn other_form(signature: &str) -> String {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let bytes = hex::decode(signature).unwrap();
    let (r, s) = bytes.split_at(32);
    let mut other = [0u8; 32];
    let mut borrow = 0;
    for (at, byte) in other.iter_mut().enumerate().rev() {
        let left = i16::from(order[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(left < 0);
        *byte = u8::try_from(left.rem_euclid(256)).unwrap();
    }
    format!("{}{}", hex::encode(r), hex::encode(other))
}

#[test]
fn a_session_goes_on_over_a_restart_and_ends_when_a_token_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let more = ["--domain", "neofn.example"];
    let node = NodeProcess::start_in(&data, &more);
    let person = Person::sign_in(&node, 1);
    let made = person.http.post("/api/v1/projects", &json!({"name": "shop"}));
    let _ = made.expect(201);
    node.kill_hard();

    let node = NodeProcess::start_in(&data, &more);
    let open = node.anonymous();
    let who = with(&node, &person.tokens["access_token"])
        .get("/auth/whoami")
        .expect(200)
        .json();
    assert_eq!(who["roles"], json!([{"project": "shop", "role": "owner"}]));
    let refresh = |token: &Value| open.post("/auth/refresh", &json!({"refresh_token": token}));
    let next = refresh(&person.tokens["refresh_token"]).expect(200).json();
    let _ = with(&node, &next["access_token"]).get("/auth/whoami").expect(200);
    // whoever comes with the old one has stolen it, or was stolen from: the whole family ends
    refused(
        &refresh(&person.tokens["refresh_token"]),
        "NF0406",
        "the old token",
    );
    refused(&refresh(&next["refresh_token"]), "NF0406", "its successor");
    refused(
        &with(&node, &next["access_token"]).get("/auth/whoami"),
        "NF0401",
        "the access token of the family",
    );

    let again = Person::sign_in(&node, 1);
    let _ = again.http.post("/auth/logout", &json!({})).expect(200);
    refused(
        &again.http.get("/auth/whoami"),
        "NF0401",
        "an access token after logout",
    );
    refused(
        &refresh(&again.tokens["refresh_token"]),
        "NF0406",
        "a refresh token after logout",
    );
    // no part of a token can be another
    let token = again.tokens["access_token"].as_str().unwrap();
    for at in (0..token.len()).step_by(7) {
        let mut bad = token.as_bytes().to_vec();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        refused(&with(&node, &json!(bad)).get("/auth/whoami"), "NF0401", &bad);
    }
}

#[test]
fn members_have_roles_and_keys_have_scopes_and_an_end() {
    let node = NodeProcess::start();
    let (owner, dev) = (Person::sign_in(&node, 1), Person::sign_in(&node, 2));
    let _ = owner
        .http
        .post("/api/v1/projects", &json!({"name": "shop"}))
        .expect(201);
    let _ = owner.http.deploy("shop", "hello", HELLO).expect(201);
    assert_eq!(dev.http.deploy("shop", "hello", HELLO).status, 404);
    // what an event holds is looked at for those who may send it
    for below in ["", "/estimate"] {
        let path = format!("/api/v1/functions/shop/hello{below}");
        let headers = [("content-type", "application/cloudevents+json")];
        let bad = |http: &Http| http.send("POST", &path, b"{}", &headers);
        let answers = [&node.anonymous(), &dev.http, &owner.http].map(|http| bad(http).code());
        assert_eq!(answers, ["NF0401", "NF0301", "NF0707"], "{path}");
    }
    let path = format!("/api/v1/members/shop/{}", dev.address);
    let role = |role: &str| {
        let body = json!({"role": role}).to_string();
        owner.http.send("PUT", &path, body.as_bytes(), &[]).expect(200)
    };
    let _ = role("viewer");
    let _ = dev.http.get("/api/v1/functions/shop/hello").expect(200);
    assert_eq!(dev.http.invoke("shop", "hello", &Value::Null).status, 403);
    let _ = role("operator");
    let _ = dev.http.invoke("shop", "hello", &Value::Null).expect(200);
    assert_eq!(dev.http.deploy("shop", "hello", HELLO).status, 403);
    let _ = role("developer");
    let _ = dev.http.deploy("shop", "other", HELLO).expect(201);
    assert_eq!(dev.http.get("/api/v1/keys/shop").status, 403);
    let _ = role("admin");

    let make = |name: &str, scopes: Value, life: u64| {
        let body = json!({"name": name, "scopes": scopes, "expires_in": life});
        dev.http.post("/api/v1/keys/shop", &body).expect(201).json()
    };
    let ci = make("ci", json!(["deploy"]), 3_600);
    let http = with(&node, &ci["key"]);
    let who = http.get("/auth/whoami").expect(200).json();
    assert_eq!(
        (&who["kind"], &who["project"], &who["scopes"]),
        (&json!("key"), &json!("shop"), &json!(["deploy"]))
    );
    let _ = http.deploy("shop", "third", HELLO).expect(201);
    assert_eq!(http.invoke("shop", "hello", &Value::Null).status, 403);
    assert_eq!(http.get("/api/v1/secrets/shop").status, 403);
    // another project is not even admitted to be there
    assert_eq!(http.deploy("default", "third", HELLO).status, 404);

    let short = make("short", json!(["read"]), 1);
    let http = with(&node, &short["key"]);
    eventually("the key ends", Duration::from_secs(20), || {
        (http.get("/api/v1/functions/shop/hello").status == 401).then_some(())
    });
    let list = owner.http.get("/api/v1/keys/shop").expect(200);
    for key in [&ci, &short] {
        assert!(!list.body.contains(key["key"].as_str().unwrap()));
    }
    let revoke = format!("/api/v1/keys/shop/{}", ci["id"].as_str().unwrap());
    let _ = owner.http.send("DELETE", &revoke, b"", &[]).expect(200);
    refused(
        &with(&node, &ci["key"]).get("/auth/whoami"),
        "NF0401",
        "a revoked key",
    );
    // who leaves takes their keys along
    let left = make("left", json!(["read"]), 3_600);
    let _ = owner.http.send("DELETE", &path, b"", &[]).expect(200);
    refused(
        &with(&node, &left["key"]).get("/auth/whoami"),
        "NF0401",
        "a key of who left",
    );
    assert_eq!(dev.http.get("/api/v1/functions/shop/hello").status, 404);
}

#[test]
fn a_statement_says_who() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(
        &dir.path().join("data"),
        &["--gas-price", "100000", "--gas-initial", "5"],
    );
    let owner = Person::sign_in(&node, 1);
    let _ = owner
        .http
        .post("/api/v1/projects", &json!({"name": "shop"}))
        .expect(201);
    let deploy = |name: &str, source: &str, more: Value| {
        let mut request = json!({"function_name": name, "source": source});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let _ = owner.http.deploy_with("shop", request).expect(201);
    };
    deploy("hello", HELLO, json!({"public": true}));
    deploy(
        "ordered",
        HELLO,
        json!({"on": {"event": [{"name": "orders", "type": "order.placed"}]}}),
    );
    deploy(
        "tick",
        HELLO,
        json!({"on": {"cron": [{"name": "clock", "schedule": "@every 1s"}]}}),
    );
    let relay = "export const handler = (_, ctx) => ctx.invoke('hello', { name: 'relay' });";
    deploy("relay", relay, json!({}));

    let name = "=ci, the robot";
    let key = json!({"name": name, "scopes": ["invoke"], "expires_in": 3_600});
    let key = owner.http.post("/api/v1/keys/shop", &key).expect(201).json();
    let robot = with(&node, &key["key"]);
    let run = |http: &Http, function: &str| {
        let run = http.invoke("shop", function, &Value::Null).expect(200).json();
        run["invocationId"].as_str().unwrap().to_owned()
    };
    let (person, machine) = (run(&owner.http, "hello"), run(&robot, "hello"));
    let stranger = run(&node.anonymous(), "hello");
    let relayed = run(&owner.http, "relay");
    let queued = "/api/v1/functions/shop/hello?mode=async";
    let queued = robot.post(queued, &Value::Null).expect(202).json();
    let event = json!({"specversion": "1.0", "type": "order.placed", "source": "/t", "id": "1"});
    let sent = owner.http.send(
        "POST",
        "/api/v1/events?project=shop",
        event.to_string().as_bytes(),
        &[("content-type", "application/cloudevents+json")],
    );
    assert!(sent.status < 300, "{sent:?}");

    let me = format!("account:{}", owner.address);
    let ci = format!("key:{} {name}", key["id"].as_str().unwrap());
    let statement = || {
        let answer = owner.http.get("/api/v1/gas/shop/statement?limit=1000");
        answer.expect(200).json()["lines"].as_array().unwrap().clone()
    };
    let by = |function: &str, caller: &str| {
        statement()
            .iter()
            .any(|l| l["purpose"] == "charge" && l["function"] == function && l["caller"] == caller)
    };
    eventually(
        "triggers are charged to their names",
        Duration::from_secs(30),
        || (by("ordered", "event:orders") && by("tick", "cron:clock")).then_some(()),
    );
    let queued = queued["invocationId"].as_str().unwrap().to_owned();
    for (id, who) in [
        (&person, me.as_str()),
        (&machine, ci.as_str()),
        (&stranger, "anonymous"),
        (&relayed, me.as_str()),
        (&queued, ci.as_str()),
    ] {
        eventually("the charge says who", Duration::from_secs(30), || {
            let lines = statement();
            let line = lines.iter().find(|l| l["invocation"] == id.as_str())?;
            assert_eq!(line["caller"], who, "{line}");
            Some(())
        });
    }
    // credit came by itself
    let lines = statement();
    let credit = lines.iter().find(|l| l["purpose"] == "allocation").unwrap();
    assert_eq!(credit.get("caller"), None, "{credit}");
    // what a function called is in its caller's charge; history says by whom it was called
    let all = owner
        .http
        .get("/api/v1/functions/shop/hello/invocations")
        .expect(200)
        .json();
    let callee = all["invocations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|i| i["origin"] == "chain")
        .expect("the callee");
    let callee = owner
        .http
        .get(&format!("/api/v1/invocations/{}", callee["id"].as_str().unwrap()))
        .expect(200)
        .json();
    assert_eq!(callee["caller"], "function:shop/relay", "{callee}");
    assert!(statement().iter().all(|l| l["invocation"] != callee["id"]));

    // the same on the command line, and in a spreadsheet that takes no name for a formula or for two cells
    let cli = Cli::new(dir.path(), &node);
    let seen = cli
        .run(&["gas", "statement", "--project", "shop"])
        .expect(0)
        .stdout;
    for who in ["WHO", me.as_str(), ci.as_str(), "event:orders", "anonymous"] {
        assert!(seen.contains(who), "{who}: {seen}");
    }
    let csv = cli
        .run(&["gas", "statement", "--project", "shop", "--csv"])
        .expect(0)
        .stdout;
    assert!(
        csv.starts_with("time,project,entry,gas,caller,function,"),
        "{csv}"
    );
    assert!(csv.contains(&format!(",\"{ci}\",hello,")), "{csv}");
    // and it is there after a crash
    let data = node.data().to_owned();
    node.kill_hard();
    let node = NodeProcess::start_in(&data, &["--gas-price", "100000"]);
    let after = node
        .http()
        .get("/api/v1/gas/shop/statement?limit=1000")
        .expect(200)
        .json();
    let line = after["lines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["invocation"] == queued.as_str());
    assert_eq!(line.unwrap()["caller"], ci.as_str());
}

#[test]
fn the_command_line_signs_in_and_manages_a_project() {
    let node = NodeProcess::start();
    let dir = tempfile::tempdir().unwrap();
    let wallet = dir.path().join("my.json");
    std::fs::write(&wallet, people::wallet(1, "correct horse").to_string()).unwrap();
    let me = Cli::person(dir.path(), &node).with("NEOFN_WALLET_PASSWORD", "correct horse");
    let _ = me.run(&["whoami"]).expect(3);
    let wrong = Cli::person(dir.path(), &node).with("NEOFN_WALLET_PASSWORD", "wrong");
    assert_ne!(wrong.run(&["login", "--wallet", "my.json"]).code, 0);
    let done = me.run(&["login", "--wallet", "my.json"]).expect(0);
    assert!(
        !format!("{}{}", done.stdout, done.stderr).contains("ey"),
        "no token is shown"
    );
    let address = people::address(1);
    let who = me.run(&["whoami"]).expect(0);
    assert!(who.stdout.contains(&address), "{who:?}");

    let _ = me.run(&["projects", "create", "shop"]).expect(0);
    assert!(me.run(&["projects", "ls"]).expect(0).stdout.contains("shop"));
    let friend = people::address(2);
    let _ = me
        .run(&["members", "add", "shop", &friend, "--role", "developer"])
        .expect(0);
    let members = me.run(&["members", "ls", "shop"]).expect(0).stdout;
    assert!(
        members.contains(&friend) && members.contains("developer"),
        "{members}"
    );
    // about the project that was just made, as nothing else is said
    let key = me
        .run(&["keys", "create", "ci", "--scope", "deploy", "--expires", "90d"])
        .expect(0);
    let _ = me
        .fed(
            &["secrets", "set", "API_KEY", "--host", "api.example.org"],
            b"a value of some length",
        )
        .expect(0);
    assert!(
        me.run(&["secrets", "ls", "--project", "shop"])
            .expect(0)
            .stdout
            .contains("API_KEY")
    );
    let done = me.run(&["secrets", "rewrap"]).expect(0);
    assert!(
        done.stderr.contains("shop: 1 value is under a new key"),
        "{done:?}"
    );
    let _ = me.run(&["projects", "create", "other"]).expect(0);
    assert!(
        me.run(&["secrets", "ls"])
            .expect(0)
            .stderr
            .contains("other has no secrets")
    );
    let secret = key.stdout.trim().to_owned();
    let ci = Http::new(node.url(), Some(&secret));
    let _ = ci.deploy("shop", "hello", HELLO).expect(201);
    let listed = me.run(&["keys", "ls", "--project", "shop"]).expect(0).stdout;
    assert!(listed.contains("ci") && !listed.contains(&secret), "{listed}");
    // a key is about its own project, and somebody who did not make it here has to say which of several
    let reader = me
        .run(&["keys", "create", "reader", "--scope", "read", "--project", "shop"])
        .expect(0);
    let key = Cli::new(dir.path(), &node).with("NEOFN_API_KEY", reader.stdout.trim());
    assert!(key.run(&["functions"]).expect(0).stdout.contains("hello"));
    std::fs::remove_file(dir.path().join("neofn/projects.json")).unwrap();
    let asked = me.run(&["keys", "ls"]).expect(2);
    assert!(
        asked.stderr.contains("which of your 2 projects?") && asked.stderr.contains("other, shop"),
        "{asked:?}"
    );
    // the same with the key of who runs the node, on a fresh one
    let fresh = NodeProcess::start();
    let admin = Cli::new(dir.path(), &fresh).with("XDG_STATE_HOME", &dir.path().display().to_string());
    let _ = admin.run(&["projects", "create", "shop"]).expect(0);
    let made = admin
        .run(&["keys", "create", "ci", "--scope", "deploy"])
        .expect(0);
    assert!(made.stderr.contains("of shop"), "{made:?}");

    let _ = me.run(&["logout"]).expect(0);
    let _ = me.run(&["whoami"]).expect(3);
    let kept = std::fs::read_to_string(dir.path().join("neofn/sessions.json")).unwrap();
    assert!(!kept.contains("refresh"), "{kept}");
}

#[test]
fn a_password_is_asked_for_at_a_terminal_and_never_shown() {
    let node = NodeProcess::start();
    let dir = tempfile::tempdir().unwrap();
    let wallet = dir.path().join("my.json");
    std::fs::write(&wallet, people::wallet(1, "correct horse").to_string()).unwrap();
    // a mistake that is cleared, a word that is taken back, and a line feed instead of Enter
    let typed = b"wrong\x15correct horse battery\x17\x7f\n";
    let shown = at_a_terminal(&node, dir.path(), &["login", "--wallet", "my.json"], typed);
    assert!(shown.contains("signed in to"), "{shown}");
    assert!(!shown.contains("horse") && !shown.contains("wrong\r"), "{shown}");
    // without a terminal it says what to do
    let asked = Cli::person(dir.path(), &node)
        .run(&["login", "--wallet", "my.json"])
        .expect(2);
    assert!(asked.stderr.contains("--password-file"), "{asked:?}");
}

/// What a terminal shows of a command to which something is typed once it asks.
fn at_a_terminal(node: &NodeProcess, dir: &Path, args: &[&str], typed: &[u8]) -> String {
    let command = format!("{} {}", neofn_testkit::binary().display(), args.join(" "));
    let mut child = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &command,
            "/dev/null",
        ])
        .current_dir(dir)
        .env("XDG_STATE_HOME", dir)
        .env("NEOFN_URL", node.url())
        .env("NO_COLOR", "1")
        .env_remove("NEOFN_API_KEY")
        .env_remove("NEOFN_WALLET_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut shown, mut byte) = (Vec::new(), [0u8; 1]);
    let mut asked = false;
    while screen.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if !asked && shown.ends_with(b"end with Enter)") {
            asked = true;
            keys.write_all(typed).unwrap();
            keys.flush().unwrap();
        }
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(asked, "{shown}");
    shown
}
