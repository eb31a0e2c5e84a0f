//! The sections of a configuration file, and what each asks of a node.

use super::value;
use crate::failure::Failure;
use neofn_node::{
    ClientCertificate, GrpcListen, NatsLogin, NatsOptions, PostgresOptions, RateLimits, SecretText,
    TlsOptions, Workers,
};
use neofn_types::Datoshi;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// One address, or several of them.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected an address or a list of addresses")]
pub enum Urls {
    /// One, or several with commas between them, as the flags have it.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Urls {
    /// Each of them.
    pub fn list(&self) -> Vec<String> {
        match self {
            Self::One(urls) => urls.split(',').map(|url| url.trim().to_owned()).collect(),
            Self::Many(urls) => urls.clone(),
        }
    }
}
// They may hold a password.
impl std::fmt::Debug for Urls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} addresses", self.list().len())
    }
}

/// `[grpc]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcSection {
    /// `--grpc-listen`
    #[serde(default, deserialize_with = "value::listen_or_off")]
    pub listen: Option<GrpcListen>,
}

/// `[tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
}

/// Where a private net is kept.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevChain {
    /// In the data directory.
    Disk,
    /// Nowhere.
    Memory,
}

impl DevChain {
    /// As the flag writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// `[chain]`: the chain that functions see, and who pays on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSection {
    /// `--chain`
    pub url: Option<Urls>,
    /// `--chain-network`
    pub network: Option<u32>,
    /// `--dev-chain`
    pub dev: Option<DevChain>,
    /// `--dev-block-time`
    #[serde(default, deserialize_with = "value::dev_block_time")]
    pub dev_block_time: Option<u64>,
    /// `--wallet`
    pub wallet: Option<PathBuf>,
    /// `--wallet-password-file`
    pub wallet_password_file: Option<PathBuf>,
    /// `--pay-max`
    #[serde(default, deserialize_with = "value::gas")]
    pub pay_max: Option<Datoshi>,
    /// `--pay-day`
    #[serde(default, deserialize_with = "value::gas")]
    pub pay_day: Option<Datoshi>,
}

/// `[bank]`: what things cost.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankSection {
    /// `--gas-price`
    #[serde(default, deserialize_with = "value::price")]
    pub price: Option<u64>,
    /// `--gas-initial`
    #[serde(default, deserialize_with = "value::gas")]
    pub initial: Option<Datoshi>,
    /// `--gas-lease`
    #[serde(default, deserialize_with = "value::gas")]
    pub lease: Option<Datoshi>,
}

/// `[audit]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// `--audit-anchor`
    #[serde(default, deserialize_with = "value::anchor")]
    pub anchor: Option<Duration>,
}

/// `[rates]`: requests a minute, all of which may come at once.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesSection {
    /// Of a key, and of a person.
    key: Option<NonZeroU32>,
    /// Of an address without credentials.
    address: Option<NonZeroU32>,
    /// Of all requests about a project.
    project: Option<NonZeroU32>,
    /// Attempts to sign in, of an address.
    sign_in: Option<NonZeroU32>,
}

impl RatesSection {
    /// Puts what is given into the limits.
    pub fn apply(&self, limits: &mut RateLimits) {
        for (given, quota) in [
            (self.key, &mut limits.credential),
            (self.address, &mut limits.address),
            (self.project, &mut limits.project),
            (self.sign_in, &mut limits.sign_in),
        ] {
            quota.requests = given.map_or(quota.requests, NonZeroU32::get);
        }
    }
}

/// `[nats]`: the servers, and one way to log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSection {
    url: Urls,
    creds: Option<PathBuf>,
    nkey_file: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    workers: Option<WorkersPlace>,
    replicas: Option<u8>,
}

/// Where functions run.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WorkersPlace {
    /// In this node.
    Embedded,
    /// In `neofn worker` processes.
    Remote,
}

// It may hold a password.
impl std::fmt::Debug for NatsSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSection").finish_non_exhaustive()
    }
}

/// `[postgres]`: where, and the password unless the address holds it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSection {
    url: String,
    password_file: Option<PathBuf>,
}
// Its address may hold a password.
impl std::fmt::Debug for PostgresSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSection").finish_non_exhaustive()
    }
}

impl TlsSection {
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut all = vec![&mut self.cert_file, &mut self.key_file];
        all.extend(self.client_ca_file.as_mut());
        all
    }

    /// As the node takes it.
    pub fn options(self) -> TlsOptions {
        TlsOptions {
            cert_file: self.cert_file,
            key_file: self.key_file,
            client_ca_file: self.client_ca_file,
        }
    }
}

impl ChainSection {
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let all = [&mut self.wallet, &mut self.wallet_password_file];
        all.into_iter().flatten().collect()
    }
}

impl NatsSection {
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let all = [
            &mut self.creds,
            &mut self.nkey_file,
            &mut self.password_file,
            &mut self.token_file,
            &mut self.ca_file,
            &mut self.cert_file,
            &mut self.key_file,
        ];
        all.into_iter().flatten().collect()
    }

    /// As the node takes it.
    pub fn options(self) -> Result<NatsOptions, Failure> {
        let urls = self.url.list();
        let known = ["nats://", "tls://"];
        if urls.is_empty() || !urls.iter().all(|url| known.iter().any(|k| url.starts_with(k))) {
            return Err(Failure::usage(
                "`[nats] url` is no address of a NATS server",
                "write it like `url = \"nats://127.0.0.1:4222\"`",
            ));
        }
        let replicas = self.replicas;
        if replicas.is_some_and(|n| !matches!(n, 1 | 3 | 5)) {
            return Err(Failure::usage(
                "`[nats] replicas` is 1, 3 or 5",
                "leave it out: three copies in a cluster of servers, else one",
            ));
        }
        let workers = match self.workers {
            Some(WorkersPlace::Remote) => Workers::Remote,
            Some(WorkersPlace::Embedded) | None => Workers::Embedded,
        };
        let ca_file = self.ca_file.clone();
        let certificate = match (self.cert_file.clone(), self.key_file.clone()) {
            (None, None) => None,
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
            _ => {
                return Err(Failure::usage(
                    "`[nats]` has half of a certificate",
                    "give both: `cert_file` and `key_file`",
                ));
            }
        };
        Ok(NatsOptions {
            login: self.login()?,
            urls,
            ca_file,
            certificate,
            workers,
            replicas,
        })
    }

    fn login(self) -> Result<NatsLogin, Failure> {
        let password = secret("password", self.password, self.password_file)?;
        let token = secret("token", self.token, self.token_file)?;
        match (self.creds, self.nkey_file, self.user, password, token) {
            (None, None, None, None, None) => Ok(NatsLogin::None),
            (Some(creds), None, None, None, None) => Ok(NatsLogin::CredsFile(creds)),
            (None, Some(nkey), None, None, None) => Ok(NatsLogin::NkeyFile(nkey)),
            (None, None, Some(user), Some(password), None) => Ok(NatsLogin::Password { user, password }),
            (None, None, None, None, Some(token)) => Ok(NatsLogin::Token(token)),
            _ => Err(Failure::usage(
                "`[nats]` does not say one way to log in",
                "give one of: `creds`; `nkey_file`; `user` with `password` or `password_file`; `token` or `token_file`",
            )),
        }
    }
}

/// Refuses what is no address of a database; `what` holds it.
pub fn check_postgres_url(what: &str, url: &str) -> Result<(), Failure> {
    if ["postgres://", "postgresql://"]
        .iter()
        .any(|s| url.starts_with(s))
    {
        return Ok(());
    }
    Err(Failure::usage(
        format!("{what} is no address of a PostgreSQL database"),
        "write it like postgres://neofn@127.0.0.1/neofn",
    ))
}

impl PostgresSection {
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.password_file.iter_mut().collect()
    }

    /// As the node takes it.
    pub fn options(self) -> Result<PostgresOptions, Failure> {
        check_postgres_url("`[postgres] url`", &self.url)?;
        Ok(PostgresOptions {
            url: SecretText::new(self.url),
            password_file: self.password_file,
        })
    }
}

/// A secret that the file holds, or names a file for.
fn secret(what: &str, text: Option<String>, file: Option<PathBuf>) -> Result<Option<SecretText>, Failure> {
    match (text, file) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(SecretText::new(text))),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, "read", &e))?;
            Ok(Some(SecretText::new(
                text.trim_end_matches(['\n', '\r']).to_owned(),
            )))
        }
        (Some(_), Some(_)) => Err(Failure::usage(
            format!("`[nats]` has both `{what}` and `{what}_file`"),
            "remove one of them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(text: &str) -> Result<NatsOptions, String> {
        let section: NatsSection = toml::from_str(text).map_err(|e| e.to_string())?;
        section.options().map_err(|f| f.problem.message)
    }

    #[test]
    fn one_way_to_log_in() {
        let plain = nats("url = \"nats://a:1, nats://b:2\"").unwrap();
        assert_eq!(plain.urls, ["nats://a:1", "nats://b:2"]);
        assert_eq!(plain.login, NatsLogin::None);
        let named = nats("url = [\"tls://a\"]\nuser = \"u\"\npassword = \"hush\"").unwrap();
        assert!(!format!("{named:?}").contains("hush"));
        assert!(matches!(named.login, NatsLogin::Password { password, .. } if password.reveal() == "hush"));
        for wrong in [
            "url = \"http://a\"",
            "url = \"nats://a\"\nreplicas = 2",
            "url = \"nats://a\"\nworkers = \"some\"",
            "url = []",
            "url = \"nats://a\"\nuser = \"u\"",
            "url = \"nats://a\"\npassword = \"p\"",
            "url = \"nats://a\"\ncreds = \"c\"\nnkey_file = \"n\"",
            "url = \"nats://a\"\ncert_file = \"c\"",
            "url = \"nats://a\"\nkey_file = \"c\"",
            "url = \"nats://a\"\ntoken = \"c\"\ntoken_file = \"n\"",
            "creds = \"c\"",
        ] {
            assert!(nats(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_database_is_postgres_and_its_password_is_not_shown() {
        let section: PostgresSection = toml::from_str("url = \"postgres://u:hush@h/d\"").unwrap();
        let shown = format!(
            "{section:?} {:?}",
            toml::from_str::<PostgresSection>("url = \"postgres://u:hush@h/d\"")
                .unwrap()
                .options()
                .unwrap()
        );
        assert!(!shown.contains("hush"), "{shown}");
        assert!(section.options().is_ok());
        let mysql: PostgresSection = toml::from_str("url = \"mysql://h/d\"").unwrap();
        assert!(mysql.options().is_err());
    }
}
