//! TLS of every door: HTTP and gRPC with a certificate that is replaced while they answer, clients that must show one, and
//! workers that reach NATS with one.

use neofn_grpc::client::Client;
use neofn_testkit::{
    Authority, Cli, Http, NatsConfig, NatsServer, NodeProcess, Signed, WorkerProcess, eventually,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn start(dir: &Path, config: &str) -> Result<NodeProcess, String> {
    std::fs::write(dir.join("node.toml"), config).unwrap();
    let file = dir.join("node.toml").display().to_string();
    NodeProcess::try_start_in(&dir.join("data"), &["--config", &file])
}

/// Speaks to an address over TLS: what the other end shows, and the first bytes of its answer.
fn speak(
    address: &str,
    authority: &Authority,
    own: Option<&Signed>,
    (alpn, words): (&str, &[u8]),
) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.into()];
    let tcp = TcpStream::connect(address).map_err(|e| e.to_string())?;
    tcp.set_read_timeout(Some(SOON)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp);
    let mut head = vec![0; 9];
    stream
        .write_all(words)
        .and_then(|()| stream.read_exact(&mut head))
        .map_err(|e| e.to_string())?;
    let shown = stream.conn.peer_certificates().unwrap()[0].to_vec();
    Ok((shown, head))
}

const HTTP: (&str, &[u8]) = ("http/1.1", b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
/// The preface and empty settings; the answer is settings too.
const GRPC: (&str, &[u8]) = ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[test]
fn the_command_line_speaks_https_and_a_new_certificate_needs_no_restart() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write(dir.path(), "ca.pem").display().to_string();
    let first = authority.sign();
    let _ = first.write(dir.path(), "node");
    let config =
        "[grpc]\nlisten = \"127.0.0.1:0\"\n[tls]\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n";
    let node = start(dir.path(), config).unwrap();
    assert!(node.url().starts_with("https://127.0.0.1:"), "{}", node.url());
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(node.data().join("runtime.json")).unwrap()).unwrap();
    assert_eq!(file["url"], node.url());

    let http = Http::trusting(node.url(), Some(node.key()), authority.pem(), None);
    let source = "export const handler = (e) => ({ hello: e.name })";
    let _ = http.deploy("demo", "hello", source).expect(201);
    let cli = Cli::new(dir.path(), &node);
    let event = r#"{"name":"Neo"}"#;
    let said = cli.run(&["--ca", &ca, "invoke", "demo/hello", event]).expect(0);
    assert!(said.stdout.contains("Neo"), "{}", said.stdout);
    let trusting = Cli::new(dir.path(), &node).with("NEOFN_CA", &ca);
    let _ = trusting.run(&["invoke", "demo/hello", event]).expect(0);
    // an authority that is not believed
    let refused = cli.run(&["invoke", "demo/hello", event]).expect(4);
    assert!(refused.stderr.contains("NEOFN_CA"), "{}", refused.stderr);
    // in the clear nobody answers
    let plain = Http::new(&node.url().replace("https", "http"), Some(node.key()));
    assert_eq!(plain.get("/health").status, 0);

    let address = node.url().trim_start_matches("https://").to_owned();
    let grpc = node.ready()["grpc"].as_str().unwrap().to_owned();
    let shown = |address: &str, words| speak(address, &authority, None, words).unwrap();
    assert_eq!(shown(&address, HTTP).1, b"HTTP/1.1 ");
    assert_eq!(shown(&grpc, GRPC).1[3], 4, "settings");
    assert_eq!(shown(&grpc, GRPC).0, der(&first.cert));

    let second = authority.sign();
    let _ = second.write(dir.path(), "node");
    let hup = std::process::Command::new("kill")
        .args(["-HUP", &node.pid().to_string()])
        .status();
    assert!(hup.unwrap().success());
    eventually("the new certificate is shown", SOON, || {
        (shown(&address, HTTP).0 == der(&second.cert)).then_some(())
    });
    assert_eq!(shown(&grpc, GRPC).0, der(&second.cert));
    // a connection that was there goes on
    assert_eq!(http.get("/health").status, 200);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn the_typed_client_of_grpc_checks_who_answers() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let _ = authority.sign().write(dir.path(), "node");
    let config =
        "[grpc]\nlisten = \"127.0.0.1:0\"\n[tls]\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n";
    let node = start(dir.path(), config).unwrap();
    let http = Http::trusting(node.url(), Some(node.key()), authority.pem(), None);
    let source = "export const handler = () => 'hello'";
    let _ = http.deploy("demo", "hello", source).expect(201);
    let url = format!("https://{}", node.ready()["grpc"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let key = Some(node.key());
        let mut client = Client::connect_trusting(&url, key, authority.pem())
            .await
            .unwrap();
        let said = client.execute("demo/hello", None, Some(SOON)).await.unwrap();
        assert_eq!(said, b"\"hello\"");
        // those of the web signed nothing of it, and another authority did not either
        let strangers = Authority::new();
        for refused in [
            Client::connect(&url, key).await,
            Client::connect_trusting(&url, key, strangers.pem()).await,
        ] {
            let why = refused.err().unwrap().to_string();
            assert!(why.contains("certificate"), "{why}");
        }
    });
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_node_may_ask_its_callers_for_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let [authority, clients, strangers] = [(); 3].map(|()| Authority::new());
    let ca = authority.write(dir.path(), "ca.pem").display().to_string();
    let _ = authority.sign().write(dir.path(), "node");
    let _ = clients.write(dir.path(), "clients.pem");
    let config = "[grpc]\nlisten = \"127.0.0.1:0\"\n[tls]\ncert_file = \"node.pem\"\n\
                  key_file = \"node-key.pem\"\nclient_ca_file = \"clients.pem\"\n";
    let node = start(dir.path(), config).unwrap();
    let (own, foreign) = (clients.sign(), strangers.sign());
    let get = |own| Http::trusting(node.url(), Some(node.key()), authority.pem(), own).get("/health");
    assert_eq!(get(Some(&own)).status, 200);
    assert_eq!(get(None).status, 0);
    assert_eq!(get(Some(&foreign)).status, 0);
    let http = Http::trusting(node.url(), Some(node.key()), authority.pem(), Some(&own));
    let _ = http
        .deploy("default", "hello", "export const handler = () => 1")
        .expect(201);
    let grpc = node.ready()["grpc"].as_str().unwrap();
    assert_eq!(speak(grpc, &authority, Some(&own), GRPC).unwrap().1[3], 4);
    assert!(speak(grpc, &authority, None, GRPC).is_err());
    assert!(speak(grpc, &authority, Some(&foreign), GRPC).is_err());

    let [cert, key] = own.write(dir.path(), "own");
    let [foreign_cert, foreign_key] = foreign.write(dir.path(), "foreign");
    let cli = Cli::new(dir.path(), &node).with("NEOFN_CA", &ca);
    let _ = cli
        .run(&["functions", "--client-cert", &cert, "--client-key", &key])
        .expect(0);
    let by_environment = Cli::new(dir.path(), &node)
        .with("NEOFN_CA", &ca)
        .with("NEOFN_CLIENT_CERT", &cert)
        .with("NEOFN_CLIENT_KEY", &key);
    let _ = by_environment.run(&["functions"]).expect(0);
    let _ = cli.run(&["functions"]).expect(4);
    let args = [
        "functions",
        "--client-cert",
        &foreign_cert,
        "--client-key",
        &foreign_key,
    ];
    let _ = cli.run(&args).expect(4);
    let _ = cli.run(&["functions", "--client-cert", &cert]).expect(2);

    // an authority that is not one is no reason to let everybody in
    std::fs::write(dir.path().join("clients.pem"), "none").unwrap();
    drop(node);
    let refused = start(dir.path(), config).err().unwrap();
    assert!(
        refused.contains("NF0601") && refused.contains("authority"),
        "{refused}"
    );
}

#[test]
fn a_certificate_that_has_ended_is_said_by_the_node_and_by_the_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write(dir.path(), "ca.pem").display().to_string();
    let _ = authority.sign_ended(2001).write(dir.path(), "node");
    let config = "[grpc]\nlisten = \"off\"\n[tls]\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n";
    let node = start(dir.path(), config).unwrap();
    let ended = "node.pem has ended at 2001-01-01T00:00:00Z: callers refuse it";
    assert!(
        node.stderr().matches(ended).count() == 1,
        "it is said once:\n{}",
        node.stderr()
    );
    let cli = Cli::new(dir.path(), &node);
    let data = node.data().display().to_string();
    let doctor = || cli.run(&["--ca", &ca, "doctor", "--data", &data]);
    let said = doctor().expect(1);
    assert!(said.stderr.contains(ended), "{}", said.stderr);

    let _ = authority.sign().write(dir.path(), "node");
    eventually("the new one is shown", SOON, || {
        let http = Http::trusting(node.url(), Some(node.key()), authority.pem(), None);
        (http.get("/health").status == 200).then_some(())
    });
    let said = doctor();
    assert!(
        said.stderr.contains("node.pem is good, and not about to end"),
        "{}",
        said.stderr
    );
    assert_eq!(node.stderr().matches(ended).count(), 1, "{}", node.stderr());
}

#[test]
fn gateway_and_workers_show_certificates_to_nats() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, others] = [(); 2].map(|()| Authority::new());
    let ca = ours.write(dir.path(), "ca.pem").display().to_string();
    let [server_cert, server_key] = ours.sign().write(dir.path(), "server");
    let nats = NatsServer::start_with(
        1,
        &NatsConfig {
            more: format!(
                "tls {{ cert_file: \"{server_cert}\", key_file: \"{server_key}\", ca_file: \"{ca}\", verify: true }}\n"
            ),
            ..NatsConfig::default()
        },
    );
    let _ = ours.sign().write(dir.path(), "gateway");
    let [worker_cert, worker_key] = ours.sign().write(dir.path(), "worker");
    let [foreign_cert, foreign_key] = others.sign().write(dir.path(), "foreign");
    let config = |more: &str| {
        format!(
            "[nats]\nurl = \"{}\"\nworkers = \"remote\"\nca_file = \"ca.pem\"\n{more}",
            nats.url()
        )
    };
    let refused = start(dir.path(), &config("")).err().unwrap();
    assert!(refused.contains("NATS"), "{refused}");
    let foreign = "cert_file = \"foreign.pem\"\nkey_file = \"foreign-key.pem\"\n";
    let refused = start(dir.path(), &config(foreign)).err().unwrap();
    assert!(refused.contains("NATS"), "{refused}");
    let own = "cert_file = \"gateway.pem\"\nkey_file = \"gateway-key.pem\"\n";
    let gateway = start(dir.path(), &config(own)).unwrap();

    let worker = |cert: &str, key: &str| {
        let args = [
            "--children",
            "1",
            "--ca-file",
            &ca,
            "--cert-file",
            cert,
            "--key-file",
            key,
        ];
        WorkerProcess::try_start(&nats.url(), &args)
    };
    assert!(worker(&foreign_cert, &foreign_key).is_err());
    assert!(WorkerProcess::try_start(&nats.url(), &["--children", "1", "--ca-file", &ca]).is_err());
    let _worker = worker(&worker_cert, &worker_key).unwrap();
    eventually("the worker is known", SOON, || {
        (gateway.http().get("/ready").status == 200).then_some(())
    });
    let source = "export const handler = (e) => ({ hello: e.name })";
    let _ = gateway.http().deploy("demo", "hello", source).expect(201);
    let answer = gateway
        .http()
        .invoke("demo", "hello", &json!({"name": "Neo"}))
        .expect(200);
    assert_eq!(answer.json()["result"]["hello"], "Neo");
}
