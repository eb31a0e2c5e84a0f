//! The root of secrets on a token, with the real binary and SoftHSM: set, killed, used again; a wrong PIN is refused; from a file
//! to the token and back; and two gateways on one database with one token.

use neofn_testkit::{Cli, NodeProcess, Postgres, TOKEN_PIN, import_key, pin_file, softhsm, with_tokens};
use serde_json::json;
use std::path::{Path, PathBuf};

const READ: &str = "export const handler = async (_, ctx) => (await ctx.secrets.get('API_KEY')).length;";
const VALUE: &str = "correct-horse";

fn uri(pin: &Path) -> String {
    format!(
        "pkcs11:token=vault;object=root?module-path={}&pin-source=file:{}",
        softhsm().display(),
        pin.display()
    )
}
fn token(dir: &Path) -> PathBuf {
    import_key(dir, "root", 1, &[0x5a; 32]);
    pin_file(dir, "pin", TOKEN_PIN, 0o600)
}
fn deploy(node: &NodeProcess) {
    let request = json!({
        "function_name": "read", "source": READ,
        "allow": {"secrets": [{"name": "API_KEY", "plaintext": true}]},
    });
    let _ = node.http().deploy_with("default", request).expect(201);
}
fn works(node: &NodeProcess) {
    let run = node
        .http()
        .invoke("default", "read", &json!(null))
        .expect(200)
        .json();
    assert_eq!(run["result"], VALUE.len(), "{run}");
}
fn vault(node: &NodeProcess) -> (bool, String, u64) {
    let seen = node.http().get("/api/v1/vault").expect(200).json();
    let root = seen["root"].as_str().unwrap_or_default().to_owned();
    (
        seen["sealed"].as_bool().unwrap(),
        root,
        seen["generation"].as_u64().unwrap(),
    )
}
fn at(sealed: bool, root: &str, generation: u64) -> (bool, String, u64) {
    (sealed, root.to_owned(), generation)
}

#[test]
fn a_root_on_a_token_outlives_the_node_and_never_leaves_it() {
    with_tokens("a_root_on_a_token_outlives_the_node_and_never_leaves_it", |dir| {
        let pin = token(dir);
        let (data, uri_of) = (dir.join("data"), uri(&pin));
        let more = ["--secrets-root", uri_of.as_str()];
        let node = NodeProcess::start_in(&data, &more);
        assert_eq!(vault(&node), at(false, "external", 1));
        let cli = Cli::new(dir, &node);
        let _ = cli
            .fed(&["secrets", "set", "API_KEY"], VALUE.as_bytes())
            .expect(0);
        deploy(&node);
        works(&node);
        assert!(!data.join("secrets.key").exists(), "no root beside the database");
        node.kill_hard();

        // no token, no start: and each refusal says what to do
        let guess = pin_file(dir, "guess", "000000", 0o600);
        for (uri, says) in [
            (uri(&guess), "Put the right PIN into the file"),
            (uri(&dir.join("none")), "chmod 600"),
            (
                uri_of.replace("token=vault", "token=cellar"),
                "kept under the key \"pkcs11:token=vault;object=root\"",
            ),
            (uri_of.replace("object=root", "object=rot"), "kept under the key"),
            (uri_of.replace("object=root", "objekt=root"), "objekt"),
            (format!("{uri_of}&pin-value={TOKEN_PIN}"), "seen by everybody"),
        ] {
            let refused = NodeProcess::try_start_in(&data, &["--secrets-root", &uri]);
            let Err(said) = refused else { panic!("{uri}") };
            assert!(said.contains(says), "{says}: {said}");
            assert!(!said.contains(TOKEN_PIN) || says == "seen by everybody", "{said}");
        }
        let (tokens, away) = (dir.join("tokens"), dir.join("away"));
        std::fs::rename(&tokens, &away).unwrap();
        std::fs::create_dir(&tokens).unwrap();
        let Err(said) = NodeProcess::try_start_in(&data, &more) else {
            panic!("no token")
        };
        assert!(
            said.contains("there is no token") && said.contains("Plug it in"),
            "{said}"
        );
        std::fs::remove_dir(&tokens).unwrap();
        std::fs::rename(&away, &tokens).unwrap();
        // with a key file alone it is somebody else's
        let refused = NodeProcess::try_start_in(&data, &[]);
        let node = refused.expect("it starts sealed");
        assert!(vault(&node).0);
        node.kill_hard();

        let node = NodeProcess::start_in(&data, &more);
        works(&node);
        // sealed and unsealed by hand
        let cli = Cli::new(dir, &node);
        let _ = cli.run(&["secrets", "seal"]).expect(0);
        assert_eq!(vault(&node), at(true, "external", 1));
        let _ = cli.run(&["secrets", "unseal", "--configured"]).expect(0);
        works(&node);
    });
}

#[test]
fn a_root_moves_from_a_file_to_a_token_and_back() {
    with_tokens("a_root_moves_from_a_file_to_a_token_and_back", |dir| {
        let pin = token(dir);
        let (data, uri) = (dir.join("data"), uri(&pin));
        let node = NodeProcess::start_in(&data, &[]);
        let cli = Cli::new(dir, &node);
        let _ = cli
            .fed(&["secrets", "set", "API_KEY"], VALUE.as_bytes())
            .expect(0);
        deploy(&node);
        let none = cli.run(&["secrets", "rotate-root", "--configured"]);
        assert!(none.stderr.contains("--secrets-root"), "{none:?}");
        node.kill_hard();

        let more = ["--secrets-root", uri.as_str()];
        let node = NodeProcess::start_in(&data, &more);
        assert_eq!(vault(&node), at(false, "key", 1));
        works(&node);
        let _ = Cli::new(dir, &node)
            .run(&["secrets", "rotate-root", "--configured"])
            .expect(0);
        assert_eq!(vault(&node), at(false, "external", 2));
        works(&node);
        node.kill_hard();
        std::fs::remove_file(data.join("secrets.key")).unwrap();
        let node = NodeProcess::start_in(&data, &more);
        assert_eq!(vault(&node), at(false, "external", 2));
        works(&node);

        // and back: the token is not needed any more
        let key = "4d".repeat(32);
        let _ = Cli::new(dir, &node)
            .fed(&["secrets", "rotate-root"], key.as_bytes())
            .expect(0);
        assert_eq!(vault(&node), at(false, "key", 3));
        node.kill_hard();
        std::fs::remove_dir_all(dir.join("tokens")).unwrap();
        let file = pin_file(dir, "root.key", &key, 0o600);
        let node = NodeProcess::start_in(&data, &["--secrets-key-file", file.to_str().unwrap()]);
        assert_eq!(vault(&node), at(false, "key", 3));
        works(&node);
    });
}

#[test]
fn gateways_of_one_database_share_a_token() {
    with_tokens("gateways_of_one_database_share_a_token", |dir| {
        let pin = token(dir);
        let (postgres, uri) = (Postgres::start(), uri(&pin));
        let gateway = |name: &str| {
            let config = dir.join(format!("{name}.toml"));
            let text = format!(
                "secrets_root = {}\n[postgres]\nurl = {}\n",
                json!(uri),
                json!(postgres.url())
            );
            std::fs::write(&config, text).unwrap();
            config
        };
        let (a, b) = (gateway("a"), gateway("b"));
        let start = |name: &str, config: &Path| {
            NodeProcess::start_in(&dir.join(name), &["--config", config.to_str().unwrap()])
        };
        let one = start("one", &a);
        let cli = Cli::new(dir, &one);
        let _ = cli
            .fed(&["secrets", "set", "API_KEY"], VALUE.as_bytes())
            .expect(0);
        deploy(&one);
        // what nodes of a database share beside the token
        std::fs::create_dir(dir.join("two")).unwrap();
        for key in ["identity.key", "audit.key"] {
            std::fs::copy(dir.join("one").join(key), dir.join("two").join(key)).unwrap();
        }
        let two = start("two", &b);
        assert_eq!(vault(&two), at(false, "external", 1));
        works(&two);
        works(&one);
        drop(two);
        works(&one);
    });
}
