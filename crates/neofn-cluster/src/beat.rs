//! What a node says of itself, every second, as JSON: any NATS client can read it.

use crate::wire::PROTOCOL;
use neofn_runtime::port::RuntimeStatus;
use neofn_types::{Digest, RuntimeKind, UnixMillis};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two of them.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// A node that was not heard of for so long is gone.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(3_500);

/// Longest beat that is read: 256 warm versions are some 5 KB.
const BYTES_MAX: usize = 16 << 10;
/// Longest name of a node.
pub const NODE_NAME_BYTES_MAX: usize = 64;
/// Longest host, version and jail.
const TEXT_BYTES_MAX: usize = 256;
/// Longest name of a warm version.
const WARM_NAME_BYTES_MAX: usize = 64;
/// Most engines of one node.
const ENGINES_MAX: usize = 16;
/// Most cores that a node is believed to have.
const CORES_MAX: u32 = 4_096;
/// Most runs at once that a node is believed to take.
const RUNS_MAX: u32 = 1 << 18;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Edges, engine, store.
    Gateway,
    /// Sandboxes alone.
    Worker,
}

impl Role {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        }
    }
}

/// Whether a node may be called so: its name is a token of subjects, and is shown to operators.
#[must_use]
pub fn is_node_name(name: &str) -> bool {
    (1..=NODE_NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What does not change while a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Another one at every start, unless its operator named it.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// The machine's name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Of the binary.
    pub version: String,
    /// The form of the messages between nodes; only equal ones work together.
    pub protocol: u32,
    /// Since when it is there.
    pub started_at: UnixMillis,
    /// How tenants' code is confined there.
    pub jail: String,
    /// Whether it was told to run without confinement.
    pub insecure: bool,
    /// Which confidential hardware it runs in, as its kernel shows it: `sev-snp`, `tdx`, `sgx` or `nitro`. Its own word, which
    /// nothing proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enclave: Option<String>,
    /// Which runtimes it has, and the engine of each.
    pub engines: Vec<(RuntimeKind, Digest)>,
    /// Cores on which it runs functions: of a worker no more than it has sandboxes.
    pub cores: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Most runs at once; beyond it a run is refused.
    pub runs_max: u32,
}

/// What nodes of every protocol say of themselves. Those that do not work together still see each other, and can say
/// why: these members never change.
#[derive(Deserialize)]
struct Greeting {
    id: String,
    role: Role,
    version: String,
    protocol: u32,
    #[serde(default)]
    host: String,
    #[serde(default)]
    pid: u32,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Who.
    #[serde(flatten)]
    pub seat: Seat,
    /// Runs at the moment.
    pub running: u32,
    /// Runs since the start.
    pub runs: u64,
    /// Whether it takes no new work.
    pub draining: bool,
    /// Its sandboxes.
    pub sandboxes: RuntimeStatus,
    /// Versions that are warm there, those that ran last first, each as [`crate::warm_name`].
    #[serde(default)]
    pub warm: Vec<String>,
}

impl Beat {
    /// Reads what a node said, within bounds: operators are shown it, and runs go where it says that there is room.
    pub(crate) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        if text.len() > BYTES_MAX {
            return Err(serde_json::Error::custom("it says too much"));
        }
        let beat = Self::parse(text)?;
        match beat.unfit() {
            None => Ok(beat),
            Some(what) => Err(serde_json::Error::custom(format!("{what} is out of bounds"))),
        }
    }

    /// Which of its members no node of ours says.
    fn unfit(&self) -> Option<&'static str> {
        let seat = &self.seat;
        let text = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
        let checks = [
            (is_node_name(&seat.id), "id"),
            (text(&seat.host, TEXT_BYTES_MAX), "host"),
            (text(&seat.version, TEXT_BYTES_MAX), "version"),
            (text(&seat.jail, TEXT_BYTES_MAX), "jail"),
            (
                seat.enclave
                    .as_ref()
                    .is_none_or(|kind| text(kind, TEXT_BYTES_MAX)),
                "enclave",
            ),
            (seat.engines.len() <= ENGINES_MAX, "engines"),
            (seat.cores <= CORES_MAX, "cores"),
            (seat.runs_max <= RUNS_MAX, "runs_max"),
            (
                self.warm.len() <= crate::warm::SAID_MAX
                    && self.warm.iter().all(|name| text(name, WARM_NAME_BYTES_MAX)),
                "warm",
            ),
        ];
        checks.iter().find(|(fits, _)| !fits).map(|(_, what)| *what)
    }

    /// Of a node with another protocol that says itself in other words, only who it is.
    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let failed = match serde_json::from_slice(text) {
            Ok(beat) => return Ok(beat),
            Err(failed) => failed,
        };
        let greeting: Greeting = serde_json::from_slice(text)?;
        if greeting.protocol == PROTOCOL {
            return Err(failed);
        }
        Ok(Self {
            seat: Seat {
                id: greeting.id,
                role: greeting.role,
                host: greeting.host,
                pid: greeting.pid,
                version: greeting.version,
                protocol: greeting.protocol,
                started_at: UnixMillis(0),
                jail: "unknown".to_owned(),
                insecure: false,
                enclave: None,
                engines: Vec::new(),
                cores: 0,
                memory_bytes: 0,
                runs_max: 0,
            },
            running: 0,
            runs: 0,
            draining: false,
            sandboxes: RuntimeStatus::default(),
            warm: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_another_protocol_is_seen_whatever_else_it_says() {
        let of = |protocol: u32| {
            format!(
                r#"{{"id": "worker-9", "role": "worker", "version": "9.1.0", "protocol": {protocol}, "seats": [1]}}"#
            )
        };
        let beat = Beat::read(of(PROTOCOL + 1).as_bytes()).unwrap();
        assert_eq!(
            (&*beat.seat.id, &*beat.seat.version, beat.seat.protocol),
            ("worker-9", "9.1.0", PROTOCOL + 1)
        );
        assert!(beat.seat.engines.is_empty());
        assert!(
            Beat::read(of(PROTOCOL).as_bytes()).is_err(),
            "one of ours says all of it"
        );
        assert!(Beat::read(b"{}").is_err());
    }

    #[test]
    fn what_no_node_says_is_not_believed() {
        let fit = serde_json::json!({"id": "worker_1-a", "role": "worker", "host": "h", "pid": 1, "version": "0",
            "protocol": PROTOCOL, "started_at": 0, "jail": "landlock", "insecure": false, "engines": [], "cores": 2,
            "memory_bytes": 1, "runs_max": 128, "running": 0, "runs": 0, "draining": false,
            "sandboxes": RuntimeStatus::default(), "warm": ["00ff"]});
        let read = |what: &str, value: serde_json::Value| {
            let mut beat = fit.clone();
            beat[what] = value;
            Beat::read(beat.to_string().as_bytes())
        };
        assert!(read("id", "worker_1-a".into()).is_ok());
        let cases: [(&str, serde_json::Value); 13] = [
            ("id", "*".into()),
            ("id", "".into()),
            ("id", "a.b".into()),
            ("id", "a b\r\nPUB x".into()),
            ("id", "a".repeat(NODE_NAME_BYTES_MAX + 1).into()),
            ("host", "\u{1b}[2J".into()),
            ("version", "1\n2".into()),
            ("jail", "x".repeat(TEXT_BYTES_MAX + 1).into()),
            ("cores", 4_000_000_000_u32.into()),
            ("runs_max", u32::MAX.into()),
            ("warm", vec!["x"; crate::warm::SAID_MAX + 1].into()),
            ("warm", vec!["\u{7}"].into()),
            ("padding", "x".repeat(BYTES_MAX).into()),
        ];
        for (what, value) in cases {
            assert!(read(what, value.clone()).is_err(), "{what} {value}");
        }
        let other = format!(
            r#"{{"id": "*", "role": "worker", "version": "9", "protocol": {}}}"#,
            PROTOCOL + 1
        );
        assert!(Beat::read(other.as_bytes()).is_err(), "nor of another protocol");
    }
}
