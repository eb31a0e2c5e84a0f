//! The connection: how it is made, kept and watched.

use crate::blobs::NatsBlobs;
use crate::dead::NatsDead;
use crate::failure::{FailureLog, unavailable};
use crate::kv::NatsKv;
use crate::queue::NatsQueue;
use crate::results::NatsResults;
use crate::rpc::NatsRpc;
use crate::streams::{self, StreamSettings};
use async_nats::jetstream::{self, ContextBuilder};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use futures_util::StreamExt as _;
use neofn_bus::Bus;
use neofn_bus::port::{Blobs, Rpc};
use neofn_types::{Code, Error};
use rand::RngExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The server is asked this often whether it is there; it notices a dead client after two of them.
const PING: Duration = Duration::from_secs(5);
/// For a TCP connection and the handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Of JetStream's own requests; an election takes up to six seconds.
const JETSTREAM_WITHIN: Duration = Duration::from_secs(8);
/// Until a refusal that came is known.
const REFUSAL_TOLD: Duration = Duration::from_millis(20);
/// For what is still to be sent when a node goes.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries to reach a server: at the least, and at the most.
const RECONNECT_MS: (u64, u64) = (100, 4_000);
/// Publications that wait for their acknowledgement.
const ACKS_MAX: usize = 4_096;
/// Messages of a subscription that wait for its reader.
const WAITING_MAX: usize = 65_536;

/// How a node proves who it is.
#[derive(Clone)]
pub enum Login {
    /// Not at all, or by what the address says.
    None,
    /// A file with a JWT and its seed.
    Creds(PathBuf),
    /// A seed.
    Nkey(String),
    /// A name and its password.
    Password(String, String),
    /// A token.
    Token(String),
}

/// Where the servers are, and who we are.
#[derive(Clone)]
pub struct NatsSettings {
    /// Servers of one cluster.
    pub urls: Vec<String>,
    /// Who we are.
    pub login: Login,
    /// Certificates that sign the servers' own; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// What we show to the servers, and its key: files in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Shown by the server for this connection.
    pub name: String,
    /// Where answers to us go: subjects below it, which nobody else may subscribe to. With one prefix for all, whoever may
    /// hear his own answers hears everybody's.
    pub inbox: String,
}

/// A connection. Cheap to clone; it ends when the last clone is dropped.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    denied: Arc<FailureLog>,
    url: String,
}

impl Nats {
    /// Connects; fails when no server takes us within a few seconds.
    pub async fn connect(settings: NatsSettings) -> Result<Self, Error> {
        let shown = settings
            .urls
            .iter()
            .map(|u| without_password(u))
            .collect::<Vec<_>>()
            .join(", ");
        let addresses = settings
            .urls
            .iter()
            .map(|url| url.parse())
            .collect::<Result<Vec<async_nats::ServerAddr>, _>>();
        let wrong = |why: &str| {
            let text = format!("{shown:?} is no address of a NATS server: {why}");
            Error::new(Code::ConfigInvalid, text).hint("Write it like nats://127.0.0.1:4222.")
        };
        let addresses = addresses.map_err(|e| wrong(&e.to_string()))?;
        if addresses.is_empty() || addresses.iter().any(|address| address.host().is_empty()) {
            return Err(wrong("it names no host"));
        }
        let settings = match &settings.login {
            // the client itself does not look there
            Login::None => NatsSettings {
                login: addresses.iter().find_map(login_of).unwrap_or(Login::None),
                ..settings
            },
            _ => settings,
        };
        let denied = Arc::new(FailureLog::default());
        let options = options(&settings, &denied).await?;
        let client = options.connect(&addresses[..]).await.map_err(|e| {
            let code = match e.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    Code::BusDenied
                }
                ConnectErrorKind::ServerParse => Code::ConfigInvalid,
                _ => Code::BusUnavailable,
            };
            let text = format!("cannot connect to NATS at {shown}: {e}");
            match tls_hint(&e.to_string()) {
                Some(hint) => Error::new(code, text).hint(hint),
                None => Error::new(code, text),
            }
        })?;
        Ok(Self {
            client,
            denied,
            url: settings
                .urls
                .first()
                .map(|u| without_password(u))
                .unwrap_or_default(),
        })
    }

    /// The first server's address, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Requests alone: all that a worker may do beside reading artifacts.
    #[must_use]
    pub fn rpc(&self) -> Arc<dyn Rpc> {
        Arc::new(NatsRpc::new(self.client.clone(), self.denied.clone()))
    }

    /// The compiled forms, which a gateway has made room for.
    #[must_use]
    pub fn artifacts(&self) -> Arc<dyn Blobs> {
        Arc::new(NatsBlobs::new(self.jetstream(), self.denied.clone()))
    }

    /// Everything, with the streams and buckets made or checked. While a cluster elects its leader this waits.
    pub async fn bus(&self, settings: &StreamSettings) -> Result<Bus, Error> {
        let context = self.jetstream();
        let mark = self.denied.mark();
        let made = async {
            streams::ensure(&context, settings, self.replicas(settings), streams::TRIES).await?;
            let artifacts = NatsBlobs::new(self.jetstream(), self.denied.clone());
            artifacts.look_up().await?;
            Ok::<_, Error>((NatsKv::open(&context, streams::LEASES).await?, artifacts))
        };
        let (leases, artifacts) = tokio::select! {
            biased;
            made = made => made?,
            error = self.denied.refused(mark, |subject| subject.starts_with("$JS.API.")) => return Err(error.into()),
        };
        Ok(Bus {
            rpc: self.rpc(),
            jobs: Arc::new(NatsQueue::new(
                context.clone(),
                streams::JOBS,
                self.denied.clone(),
            )),
            events: Arc::new(NatsQueue::new(
                context.clone(),
                streams::EVENTS,
                self.denied.clone(),
            )),
            results: Arc::new(NatsResults::new(context.clone())),
            dead: Arc::new(NatsDead::new(context.clone())),
            leases: Arc::new(leases),
            artifacts: Arc::new(artifacts),
        })
    }

    /// Looks once whether the streams and buckets are there still, and makes again what is not; answers what that was. What was
    /// in it is lost.
    pub async fn keep(&self, settings: &StreamSettings) -> Result<Vec<String>, Error> {
        streams::ensure(&self.jetstream(), settings, self.replicas(settings), 1).await
    }

    fn replicas(&self, settings: &StreamSettings) -> u8 {
        match settings.replicas {
            Some(replicas) => replicas,
            None if self.client.server_info().cluster.is_some() => 3,
            None => 1,
        }
    }

    /// Whether the server lets us hear what was subscribed to so far (NF1604 otherwise). It refuses beside everything else, and
    /// who does not hear is not asked: it would be there, and of no use.
    pub async fn check_subscriptions(&self) -> Result<(), Error> {
        // ending a subscription takes a round trip, and refusals of earlier ones come before its end
        let inbox = self.client.new_inbox();
        let mut probe = self.client.subscribe(inbox).await.map_err(unavailable)?;
        probe.drain().await.map_err(unavailable)?;
        let ended = async { while probe.next().await.is_some() {} };
        let _ = tokio::time::timeout(FLUSH_WITHIN, ended).await;
        // told by a task of the client's own, which may be a moment behind
        tokio::time::sleep(REFUSAL_TOLD).await;
        self.denied
            .of_subscription()
            .map_or(Ok(()), |error| Err(error.into()))
    }

    /// Sends what is still to be sent, as far as somebody takes it within two seconds: without a connection nobody would,
    /// ever, and who flushes is about to go.
    pub async fn flush(&self) {
        match tokio::time::timeout(FLUSH_WITHIN, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "not flushed"),
            Err(_) => tracing::warn!("NATS is away: what was still to be sent is not"),
        }
    }

    fn jetstream(&self) -> jetstream::Context {
        ContextBuilder::new()
            .timeout(JETSTREAM_WITHIN)
            .ack_timeout(JETSTREAM_WITHIN)
            .max_ack_inflight(ACKS_MAX)
            .backpressure_on_inflight(true)
            .build(self.client.clone())
    }
}

/// What to look at when it is the handshake that failed. The client says why in words alone.
fn tls_hint(text: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["InvalidContentType"]) {
        return Some(
            "The server speaks no TLS: give it a certificate, or leave out ca_file, cert_file and key_file.",
        );
    }
    if has(&["could not add certificate or key"]) {
        return Some("See that cert_file and key_file are of the same pair.");
    }
    has(&["ertificate", "UnknownIssuer", "fatal alert", "TLS"]).then_some(
        "ca_file names the authority that signed the server's certificate, which must hold the name in the address and not have expired; \
         a server that asks for one is shown cert_file with key_file.",
    )
}

/// Refuses a file without what it is there for: the client takes it, and finds nobody to trust.
fn check_pem(file: &Path, holds: &str) -> Result<(), Error> {
    let wrong = |what: String| Error::new(Code::ConfigInvalid, what);
    let text = std::fs::read_to_string(file)
        .map_err(|e| wrong(format!("cannot read {}: {e}", file.display())).because(e))?;
    let there = text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(holds));
    match there {
        true => Ok(()),
        false => Err(wrong(format!("{} holds no {holds} in PEM", file.display()))),
    }
}

async fn options(settings: &NatsSettings, denied: &Arc<FailureLog>) -> Result<ConnectOptions, Error> {
    let told = denied.clone();
    let options = ConnectOptions::new()
        .name(&settings.name)
        .custom_inbox_prefix(&settings.inbox)
        .ping_interval(PING)
        .connection_timeout(CONNECT_WITHIN)
        .subscription_capacity(WAITING_MAX)
        // each call brings its own; the client's ten seconds would cut long runs
        .request_timeout(None)
        .reconnect_delay_callback(|attempt| {
            let (least, most) = RECONNECT_MS;
            let limit = least.saturating_mul(1 << attempt.min(6)).min(most);
            // full jitter: a thousand clients do not come back in one moment
            Duration::from_millis(rand::rng().random_range(least / 2..=limit))
        })
        .event_callback(move |event| {
            let told = told.clone();
            async move { said(&told, event) }
        });
    if let Some(file) = &settings.ca_file {
        check_pem(file, "CERTIFICATE")?;
    }
    if let Some((certificate, key)) = &settings.certificate {
        check_pem(certificate, "CERTIFICATE")?;
        check_pem(key, "PRIVATE KEY")?;
    }
    let options = match &settings.ca_file {
        Some(file) => options.add_root_certificates(file.clone()),
        None => options,
    };
    let options = match &settings.certificate {
        Some((certificate, key)) => options.add_client_certificate(certificate.clone(), key.clone()),
        None => options,
    };
    // whoever names authorities or a certificate means TLS, whatever the address says and whatever somebody on the way
    // says that the server can do
    let tls = settings.ca_file.is_some() || settings.certificate.is_some();
    let options = options.require_tls(tls);
    Ok(match &settings.login {
        Login::None => options,
        Login::Creds(file) => options.credentials_file(file).await.map_err(|e| {
            Error::new(
                Code::ConfigInvalid,
                format!("cannot use the NATS credentials in {}: {e}", file.display()),
            )
        })?,
        Login::Nkey(seed) => options.nkey(seed.clone()),
        Login::Password(user, password) => options.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
    })
}

fn said(denied: &FailureLog, event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("connection to NATS lost; trying again"),
        Event::SlowConsumer(subscription) => {
            tracing::error!(
                subscription,
                "messages from NATS were dropped: we read too slowly"
            );
        }
        Event::ServerError(error) => {
            let text = error.to_string();
            denied.add(&text);
            tracing::error!(error = text, "NATS refuses something that this role needs");
        }
        event => tracing::debug!(%event, "NATS"),
    }
}

/// What an address says of who we are: `nats://user:password@host`, or `nats://token@host`.
fn login_of(address: &async_nats::ServerAddr) -> Option<Login> {
    let user = decoded(address.username()?);
    Some(match address.password() {
        Some(password) => Login::Password(user, decoded(password)),
        None => Login::Token(user),
    })
}

/// Takes the percent signs out of a part of an address. One that stands for nothing stays as it is.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Login;

    #[test]
    fn an_address_may_say_who_we_are() {
        let login = |url: &str| match super::login_of(&url.parse().unwrap()) {
            Some(Login::Password(user, password)) => format!("{user} {password}"),
            Some(Login::Token(token)) => token,
            _ => String::new(),
        };
        for (url, shown) in [
            ("nats://u:p%40s%3As@h:1", "u p@s:s"),
            ("nats://t0k%en@h:1", "t0k%en"),
            ("nats://h:1", ""),
        ] {
            assert_eq!(login(url), shown, "{url}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("nats://u:p@h:1", "nats://h:1"),
            ("nats://h:1", "nats://h:1"),
            ("h:1", "h:1"),
        ] {
            assert_eq!(super::without_password(url), shown);
        }
    }
}
