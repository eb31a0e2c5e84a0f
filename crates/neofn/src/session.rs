//! The sessions of the person at this machine, one a node, in a file that its owner alone may read.
//!
//! A refresh token is good once, so whoever exchanges it holds a lock, and the next one is on disk before it is used.

use crate::context::state_dir;
use crate::failure::Failure;
use neofn_client::{Client, Error};
use neofn_node::SystemClock;
use neofn_types::Clock as _;
use neofn_wire::TokensView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// An access token that ends within so many seconds is exchanged before it is used.
const SPARE_S: i64 = 30;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A session with a node.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub address: String,
    access_token: String,
    /// Seconds since 1970.
    access_ends: i64,
    refresh_token: String,
}

type Sessions = BTreeMap<String, Session>;

fn now_s() -> i64 {
    SystemClock::new().now().0.div_euclid(1_000)
}

fn node(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn directory() -> Result<PathBuf, Failure> {
    let dir = state_dir()
        .ok_or_else(|| Failure::usage("there is no place for the session", "set HOME or XDG_STATE_HOME"))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| Failure::file(&dir, "make", &e))?;
    Ok(dir)
}

/// The file, while nobody else changes it.
struct Held {
    path: PathBuf,
    sessions: Sessions,
    _lock: File,
}

impl Held {
    fn open() -> Result<Self, Failure> {
        let dir = directory()?;
        let lock_path = dir.join("sessions.lock");
        let fail = |e: std::io::Error| Failure::file(&lock_path, "lock", &e);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(fail)?;
        lock.lock().map_err(fail)?;
        let path = dir.join("sessions.json");
        Ok(Self {
            sessions: read(&path)?,
            path,
            _lock: lock,
        })
    }
    fn write(&self) -> Result<(), Failure> {
        let fail = |e: std::io::Error| Failure::file(&self.path, "write", &e);
        let next = self.path.with_extension("new");
        // what a killed process left behind
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&next)
            .map_err(fail)?;
        let text = serde_json::to_vec_pretty(&self.sessions).map_err(|e| fail(std::io::Error::other(e)))?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(fail)?;
        fs::rename(&next, &self.path).map_err(fail)
    }
    fn keep(&mut self, url: &str, tokens: &TokensView) -> Result<(), Failure> {
        let session = Session {
            address: tokens.address.clone(),
            access_token: tokens.access_token.clone(),
            access_ends: now_s().saturating_add(i64::try_from(tokens.expires_in).unwrap_or(0)),
            refresh_token: tokens.refresh_token.clone(),
        };
        self.sessions.insert(node(url), session);
        self.write()
    }
}

fn read(path: &PathBuf) -> Result<Sessions, Failure> {
    let meta = match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Sessions::new()),
        other => other.map_err(|e| Failure::file(path, "read", &e))?,
    };
    let text = if meta.len() <= FILE_BYTES_MAX {
        fs::read_to_string(path)
    } else {
        Err(std::io::Error::other("it is too large"))
    };
    let text = text.map_err(|e| Failure::file(path, "read", &e))?;
    serde_json::from_str(&text).map_err(|e| {
        Failure::usage(
            format!("{}: {e}", path.display()),
            "remove the file and sign in again with `neofn login`",
        )
    })
}

/// Keeps the tokens of a new session.
pub fn keep(url: &str, tokens: &TokensView) -> Result<(), Failure> {
    Held::open()?.keep(url, tokens)
}

/// Forgets the session with a node; whether there was one.
pub fn forget(url: &str) -> Result<bool, Failure> {
    let mut held = Held::open()?;
    let was = held.sessions.remove(&node(url)).is_some();
    if was {
        held.write()?;
    }
    Ok(was)
}

/// A good access token for a node, when there is a session with it. `open` makes a client without credentials.
pub fn access_token(
    url: &str,
    open: impl FnOnce() -> Result<Client, Failure>,
) -> Result<Option<String>, Failure> {
    let Some(dir) = state_dir() else {
        return Ok(None);
    };
    let fresh = |session: &Session| session.access_ends > now_s() + SPARE_S;
    let Some(session) = read(&dir.join("sessions.json"))?.remove(&node(url)) else {
        return Ok(None);
    };
    if fresh(&session) {
        return Ok(Some(session.access_token));
    }
    let mut held = Held::open()?;
    // another process may have exchanged it meanwhile
    let Some(session) = held.sessions.get(&node(url)).cloned() else {
        return Ok(None);
    };
    if fresh(&session) {
        return Ok(Some(session.access_token));
    }
    match open()?.refresh(&session.refresh_token) {
        Ok(tokens) => {
            held.keep(url, &tokens)?;
            Ok(Some(tokens.access_token))
        }
        Err(Error::Problem(problem)) if problem.status == 401 => {
            held.sessions.remove(&node(url));
            held.write()?;
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}
