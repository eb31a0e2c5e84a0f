//! A real PostgreSQL server for a test: a cluster of its own in a temporary directory, with fsync on, ended with the
//! test. The server refuses to run as root, so a test that is root lends it the account `postgres`.

use crate::eventually;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The role that owns everything.
const USER: &str = "neofn";
const READY: Duration = Duration::from_secs(60);

/// A server with one cluster. Dropped: ended.
pub struct Postgres {
    binaries: PathBuf,
    account: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    // last, so that the directory outlives the server
    dir: tempfile::TempDir,
}

impl Postgres {
    /// A fresh cluster with an empty database.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("neofn-pg-")
            .tempdir()
            .expect("a temporary directory");
        let account = account(dir.path());
        if let Some((uid, gid)) = account {
            chown(dir.path(), Some(uid), Some(gid)).expect("give the directory away");
        }
        let mut postgres = Self {
            binaries: binaries(),
            account,
            port: 0,
            server: None,
            dir,
        };
        postgres.init();
        for left in [2, 1, 0] {
            // the port is free now, and somebody else's in the next moment if it has to be
            postgres.port = TcpListener::bind(("127.0.0.1", 0))
                .and_then(|listener| listener.local_addr())
                .expect("a free port")
                .port();
            match postgres.try_go_on() {
                Ok(()) => break,
                Err(log) => assert!(left > 0, "PostgreSQL does not start:\n{log}"),
            }
        }
        postgres
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.account {
            command.uid(uid).gid(gid);
        }
        command
            .current_dir(self.dir.path())
            .env("LC_ALL", "C")
            .env("HOME", self.dir.path())
            .stdin(Stdio::null());
        command
    }
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    fn init(&self) {
        let made = self
            .command(&self.binaries.join("initdb"))
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-sync", "--no-instructions", "--pgdata"])
            .arg(self.data())
            .output()
            .expect("run initdb");
        assert!(
            made.status.success(),
            "initdb: {}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
    }

    /// Starts again after [`Postgres::stop`] or [`Postgres::kill`], at the same address.
    pub fn go_on(&mut self) {
        if let Err(log) = self.try_go_on() {
            panic!("PostgreSQL does not start:\n{log}");
        }
    }
    fn try_go_on(&mut self) -> Result<(), String> {
        let log = self.dir.path().join("log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("open the log");
        let mut server = self
            // ended by the kernel when the test is, however that ends
            .command(Path::new("setpriv"))
            .args(["--pdeathsig", "QUIT", "--"])
            .arg(self.binaries.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(self.dir.path())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=on"])
            .args(["-c", "max_connections=100", "-c", "shared_buffers=64MB"])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("start postgres");
        let ended = eventually("PostgreSQL answers or ends", READY, || {
            match server.try_wait().expect("look after postgres") {
                Some(_) => Some(true),
                None => self.psql("postgres", "SELECT 1").is_ok().then_some(false),
            }
        });
        if ended {
            return Err(std::fs::read_to_string(log).unwrap_or_default());
        }
        self.server = Some(server);
        Ok(())
    }
    /// Ends the server in order: connections are cut.
    pub fn stop(&mut self) {
        self.end("-INT");
    }
    /// As a crash: nothing is flushed, recovery follows with the next start.
    pub fn kill(&mut self) {
        self.end("-QUIT");
    }
    fn end(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let sent = Command::new("kill")
            .args([signal, &server.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|s| s.success()), "kill {signal}");
        eventually("PostgreSQL ends", READY, || {
            server.try_wait().expect("look after postgres")
        });
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let out = self
            .command(Path::new("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .args(["--username", USER, "--dbname", database, "--command", sql])
            .output()
            .expect("run psql");
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&out.stderr).into_owned())
        }
    }
    /// What a statement answers, one line a row, as any other client of the database would see it.
    #[must_use]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.psql(database, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
    /// A further empty database; answers its address.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let _ = self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url_of(name)
    }
    fn tool(&self, name: &str, args: &[&str]) -> Vec<u8> {
        let out = self
            .command(&self.binaries.join(name))
            .args(["--host", "127.0.0.1", "--username", USER, "--port"])
            .arg(self.port.to_string())
            .args(args)
            .output()
            .expect("run a tool of PostgreSQL");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {said}");
        out.stdout
    }
    /// `pg_dump`, as docs/operate/postgresql.md has it.
    #[must_use]
    pub fn dump(&self, database: &str) -> Vec<u8> {
        self.tool(
            "pg_dump",
            &["--format", "custom", "--no-owner", "--dbname", database],
        )
    }
    /// `pg_restore` of such a dump into a new database; answers its address.
    #[must_use]
    pub fn restore(&self, dump: &[u8], database: &str) -> String {
        let url = self.database(database);
        let file = self.dir.path().join(format!("{database}.dump"));
        std::fs::write(&file, dump).expect("write the dump");
        let file = file.to_str().expect("a path");
        let flags = [
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--dbname",
        ];
        let _ = self.tool("pg_restore", &[&flags[..], &[database, file]].concat());
        url
    }
    /// The address of the first database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }
    /// The address of a database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }
    /// As [`Postgres::url`], over the socket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        format!(
            "postgres://{USER}@localhost:{}/postgres?host={}",
            self.port,
            self.dir.path().display()
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = Command::new("kill")
                .args(["-QUIT", &server.id().to_string()])
                .status();
            let _ = server.wait();
        }
    }
}

/// Whose the server is to be; none: our own.
fn account(dir: &Path) -> Option<(u32, u32)> {
    if std::fs::metadata(dir).expect("the directory").uid() != 0 {
        return None;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).expect("restrict the directory");
    let accounts = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let of = |name: &str| {
        let line = accounts.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2).map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

/// Where Debian puts the newest server's programs.
fn binaries() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            bin.join("postgres").is_file().then_some((version, bin))
        })
        .collect();
    versions.sort();
    let (_, newest) = versions.pop().expect("PostgreSQL is missing: make setup");
    newest
}
