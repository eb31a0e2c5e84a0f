//! A NATS server, or three of them as a cluster: on free ports and files of their own, ended with the test.
//!
//! Writes are on disk before they are acknowledged, as docs/operate asks of a real one.

use crate::eventually;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where `make setup` leaves the server.
#[must_use]
pub fn nats_server_binary() -> PathBuf {
    crate::neo::tools().join("nats-server")
}

/// What differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct NatsConfig {
    /// More lines of the configuration, such as accounts.
    pub more: String,
    /// `max_payload`; 0 for 8 MiB.
    pub payload_bytes_max: u64,
}

struct Server {
    child: Option<Child>,
    config: PathBuf,
    port: u16,
    log: PathBuf,
}

/// Running servers. Dropped: killed.
pub struct NatsServer {
    servers: Vec<Server>,
    // last, so that the directory outlives the processes
    _dir: tempfile::TempDir,
}

impl NatsServer {
    /// One server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(1, &NatsConfig::default())
    }
    /// Three servers that form a cluster.
    #[must_use]
    pub fn cluster() -> Self {
        Self::start_with(3, &NatsConfig::default())
    }
    /// So many servers, with more configuration.
    #[must_use]
    pub fn start_with(count: usize, config: &NatsConfig) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // held together until all are known, so that no two are the same
        let listeners: Vec<_> = (0..count * 2)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|l| l.local_addr().expect("an address").port())
            .collect();
        drop(listeners);
        let (client, routes) = ports.split_at(count);
        let mut servers = Vec::new();
        for (n, (port, route)) in client.iter().zip(routes).enumerate() {
            let home = dir.path().join(format!("n{n}"));
            std::fs::create_dir(&home).expect("make a directory");
            let path = home.join("nats.conf");
            let text = text(&home, n, *port, (count > 1).then_some((*route, routes)), config);
            std::fs::write(&path, text).expect("write the configuration");
            servers.push(Server {
                child: None,
                config: path,
                port: *port,
                log: home.join("log"),
            });
        }
        let mut nats = Self { servers, _dir: dir };
        for n in 0..count {
            nats.go_on(n);
        }
        nats
    }

    /// `nats://127.0.0.1:PORT`, of all servers with commas between them.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<String> = self
            .servers
            .iter()
            .map(|s| format!("nats://127.0.0.1:{}", s.port))
            .collect();
        urls.join(",")
    }
    /// The same, one by one.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.url().split(',').map(str::to_owned).collect()
    }
    /// The log of a server.
    #[must_use]
    pub fn log(&self, n: usize) -> String {
        std::fs::read_to_string(&self.servers[n].log).unwrap_or_default()
    }
    /// The process of a server that runs.
    #[must_use]
    pub fn pid(&self, n: usize) -> u32 {
        self.servers[n].child.as_ref().map_or(0, Child::id)
    }
    /// Starts a server again after [`NatsServer::kill`], on the same port and files.
    pub fn go_on(&mut self, n: usize) {
        let server = &mut self.servers[n];
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(&server.log)
            .expect("open the log");
        let binary = nats_server_binary();
        assert!(binary.exists(), "{} is missing: make setup", binary.display());
        let child = Command::new(binary)
            .arg("--config")
            .arg(&server.config)
            // it shares its cores with all else here: more threads of its own would only wake each other
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start nats-server");
        server.child = Some(child);
        let address = format!("127.0.0.1:{}", server.port);
        eventually("nats-server listens", Duration::from_secs(20), || {
            if let Some(Ok(Some(status))) = server.child.as_mut().map(Child::try_wait) {
                let log = std::fs::read_to_string(&server.log).unwrap_or_default();
                panic!("nats-server ended with {status}:\n{log}");
            }
            TcpStream::connect(&address).ok()
        });
    }
    /// `kill -9` of one server.
    pub fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.servers[n].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        for n in 0..self.servers.len() {
            self.kill(n);
        }
    }
}

fn text(home: &Path, n: usize, port: u16, cluster: Option<(u16, &[u16])>, config: &NatsConfig) -> String {
    let payload = if config.payload_bytes_max == 0 {
        8 << 20
    } else {
        config.payload_bytes_max
    };
    let store = home.join("jetstream");
    let mut text = format!(
        "server_name: n{n}\nlisten: \"127.0.0.1:{port}\"\nmax_payload: {payload}\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
        store.display()
    );
    if let Some((route, routes)) = cluster {
        let all: Vec<String> = routes
            .iter()
            .map(|r| format!("\"nats://127.0.0.1:{r}\""))
            .collect();
        text.push_str(&format!(
            "cluster {{ name: test, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
            all.join(", ")
        ));
    }
    text.push_str(&config.more);
    text
}
