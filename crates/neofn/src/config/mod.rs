//! `neofn up --config FILE`: the settings of a node in a file, read strictly.
//!
//! Its keys are the flags of `neofn up` with `_` for `-`; what belongs together has a section. Starts nothing and
//! decides nothing: what flags say wins over it, and `commands::up` puts the two together.

mod sections;
mod value;

pub use sections::{
    AuditSection, BankSection, ChainSection, GrpcSection, NatsSection, PostgresSection, RatesSection,
    TlsSection, check_postgres_url,
};

use crate::failure::Failure;
use neofn_node::{Cidr, LogFormat};
use neofn_types::{Place, ScriptHash, closest};
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest configuration file, in bytes.
const BYTES_MAX: u64 = 256 << 10;

/// What a file may say; what is absent has the default of its flag.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--insecure-no-jail`
    pub insecure_no_jail: Option<bool>,
    /// `--log`
    pub log: Option<String>,
    /// `--log-format`
    #[serde(default, deserialize_with = "value::log_format")]
    pub log_format: Option<LogFormat>,
    /// `--retention`
    #[serde(default, deserialize_with = "value::retention")]
    pub retention: Option<Duration>,
    /// `--retention-rows`
    pub retention_rows: Option<NonZeroU32>,
    /// `--max-units`
    #[serde(default, deserialize_with = "value::max_units")]
    pub max_units: Option<u64>,
    /// `--max-time`
    #[serde(default, deserialize_with = "value::max_time")]
    pub max_time: Option<Duration>,
    /// `--max-memory`
    #[serde(default, deserialize_with = "value::max_memory")]
    pub max_memory: Option<u64>,
    /// `--max-concurrency`
    pub max_concurrency: Option<NonZeroU32>,
    /// `--max-queue-age`
    #[serde(default, deserialize_with = "value::queue_age")]
    pub max_queue_age: Option<Duration>,
    /// `--kv-keys`
    pub kv_keys: Option<u64>,
    /// `--kv-bytes`
    #[serde(default, deserialize_with = "value::kv_bytes")]
    pub kv_bytes: Option<u64>,
    /// `--domain`
    pub domain: Option<String>,
    /// `--operator`, a list
    #[serde(default, deserialize_with = "value::accounts")]
    pub operator: Vec<ScriptHash>,
    /// `--accept-domainless`
    pub accept_domainless: Option<bool>,
    /// `--policies`
    pub policies: Option<PathBuf>,
    /// `--cors-origin`, a list
    #[serde(default)]
    pub cors_origin: Vec<String>,
    /// `--egress-allow`, a list
    #[serde(default, deserialize_with = "value::networks")]
    pub egress_allow: Vec<Cidr>,
    /// `--trusted-proxy`, a list
    #[serde(default, deserialize_with = "value::networks")]
    pub trusted_proxy: Vec<Cidr>,
    /// How many requests callers may send.
    pub rates: Option<RatesSection>,
    /// `--egress-ca`
    pub egress_ca: Option<PathBuf>,
    /// `--secrets-key-file`
    pub secrets_key_file: Option<PathBuf>,
    /// `--secrets-root`
    pub secrets_root: Option<String>,
    /// `--secrets-sealed`
    pub secrets_sealed: Option<bool>,
    /// gRPC.
    pub grpc: Option<GrpcSection>,
    /// The certificate of the HTTP and gRPC listeners.
    pub tls: Option<TlsSection>,
    /// The chain, and who pays on it.
    pub chain: Option<ChainSection>,
    /// What things cost; the section alone keeps accounts at a price of 0.
    pub bank: Option<BankSection>,
    /// The audit log.
    pub audit: Option<AuditSection>,
    /// The messages of a cluster.
    pub nats: Option<NatsSection>,
    /// The truth of a cluster.
    pub postgres: Option<PostgresSection>,
}

impl ConfigFile {
    /// Reads a file; the paths in it are relative to where it lies.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|e| Failure::file(path, "open", &e))?;
        let mut text = String::new();
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|e| Failure::file(path, "read", &e))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            let message = format!("{} is larger than {BYTES_MAX} bytes", path.display());
            return Err(Failure::usage(message, "it holds settings and nothing else"));
        }
        let mut config = Self::parse(&path.display().to_string(), &text)?;
        config.lie_in(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let place = Place::find(text, error.span().unwrap_or(0..0));
            let mut message = error.message().trim().replace('\n', ", ");
            let hint = hint(&message);
            if let Some(key) = key_at(text, place).filter(|key| !message.contains(key)) {
                message = format!("`{key}`: {message}");
            }
            let at = format!("{name}:{}:{}", place.line, place.column);
            Failure::usage(format!("{at}: {message}"), hint)
        })
    }

    fn lie_in(&mut self, directory: &Path) {
        let own = [
            self.data.as_mut(),
            self.policies.as_mut(),
            self.egress_ca.as_mut(),
            self.secrets_key_file.as_mut(),
        ];
        let sections = [
            self.tls.as_mut().map(TlsSection::paths),
            self.chain.as_mut().map(ChainSection::paths),
            self.nats.as_mut().map(NatsSection::paths),
            self.postgres.as_mut().map(PostgresSection::paths),
        ];
        for path in own
            .into_iter()
            .flatten()
            .chain(sections.into_iter().flatten().flatten())
        {
            *path = directory.join(&*path);
        }
    }
}

/// The key before the value that is wrong.
fn key_at(text: &str, place: Place) -> Option<&str> {
    let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let (key, _) = text.lines().nth(index)?.split_once('=')?;
    Some(key.trim())
}

/// What to do about what serde says; it lists the known keys itself.
fn hint(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((word, known)) if message.starts_with("unknown field") => closest(word, known.iter().copied())
            .map_or_else(
                || "remove the key, or move it to its section".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            ),
        _ => "correct the place that the message names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let problem = ConfigFile::parse("c.toml", text).expect_err(text).problem;
        (problem.message, problem.hint)
    }

    #[test]
    fn says_file_line_key_and_the_known_keys() {
        let (message, hint) = refused("data = \"d\"\nlisen = \"127.0.0.1:0\"\n");
        assert!(
            message.starts_with("c.toml:2:1: unknown field `lisen`, expected one of `data`, `listen`"),
            "{message}"
        );
        assert_eq!(hint, "did you mean `listen`?");
        let (message, hint) = refused("[nats]\nurl = \"nats://h\"\nuser_name = \"x\"\n");
        assert!(
            message.starts_with("c.toml:3:1: unknown field `user_name`") && message.contains("`nkey_file`"),
            "{message}"
        );
        assert!(!hint.is_empty());
        for (text, place) in [
            ("listen = 9000", "c.toml:1:10: `listen`: "),
            ("listen = \"here\"", "c.toml:1:10: "),
            ("max_time = \"2h\"", "c.toml:1:12: "),
            ("max_units = 1", "c.toml:1:13: "),
            ("max_queue_age = \"1ms\"", "c.toml:1:17: "),
            ("[grpc]\nlisten = \"on\"", "c.toml:2:10: "),
            ("[chain]\npay_max = \"-1\"", "c.toml:2:11: "),
            ("[chain]\ndev = \"ram\"", "c.toml:2:7: "),
            ("[bank]\ninitial = \"much\"", "c.toml:2:11: "),
            ("[bank]\nprice = -1", "c.toml:2:9: "),
            ("[bank]\nprice = 10000000000001", "c.toml:2:9: "),
            ("[bank]\ngas_price = 1", "c.toml:2:1: "),
            ("[audit]\nanchor = \"1ms\"", "c.toml:2:10: "),
            ("trusted_proxy = [\"proxy\"]", "c.toml:1:"),
            ("[rates]\nkey = 0", "c.toml:2:7: "),
            ("[rates]\naddress = -1", "c.toml:2:11: "),
            ("[rates]\nkeys = 1", "c.toml:2:1: "),
            ("a = = 1", "c.toml:1:"),
        ] {
            let (message, _) = refused(text);
            assert!(message.starts_with(place), "{message}");
        }
    }

    #[test]
    fn paths_lie_beside_the_file() {
        let mut config = ConfigFile::parse(
            "c.toml",
            "data = \"d\"\n[tls]\ncert_file = \"/abs.pem\"\nkey_file = \"key.pem\"\n",
        )
        .unwrap();
        config.lie_in(Path::new("/etc/neofn"));
        assert_eq!(config.data.as_deref(), Some(Path::new("/etc/neofn/d")));
        let tls = config.tls.unwrap().options();
        assert_eq!(tls.cert_file, Path::new("/abs.pem"));
        assert_eq!(tls.key_file, Path::new("/etc/neofn/key.pem"));
    }
}
