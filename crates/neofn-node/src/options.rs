//! What an operator decides about a node.

use crate::bank::BankChoice;
use crate::sign_in::AccessOptions;
use neofn_api::RateLimits;
use neofn_chain::dev::Keep;
use neofn_engine::port::{KvQuota, Retention};
use neofn_http::ServerOptions;
use neofn_types::{Code, Datoshi, Error, Limits};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Which chain functions see and act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainChoice {
    /// None: chain services and chain triggers say so.
    None,
    /// The network of these nodes.
    Nodes {
        /// Their addresses.
        urls: Vec<String>,
        /// Which network that is; none: the one whose blocks were read before, or what the nodes agree on.
        network: Option<u32>,
    },
    /// A private net that starts and ends with this node.
    Dev {
        /// Where it lives; on disk: below the data directory.
        keep: Keep,
        /// Time between blocks.
        block_ms: u64,
    },
}

impl ChainChoice {
    /// The network that the operator named.
    #[must_use]
    pub fn network(&self) -> Option<u32> {
        match self {
            Self::Nodes { network, .. } => *network,
            Self::None | Self::Dev { .. } => None,
        }
    }
    /// Whether every start finds another chain: a development chain that is kept nowhere.
    #[must_use]
    pub fn begins_anew(&self) -> bool {
        matches!(
            self,
            Self::Dev {
                keep: Keep::InMemory,
                ..
            }
        )
    }
}

/// The account that pays for what functions send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayingWallet {
    /// A NEP-6 file; its default account pays.
    pub file: PathBuf,
    /// The file that holds its password alone.
    pub password_file: PathBuf,
    /// Most of one transaction: fees and GAS given away.
    pub per_transaction: Datoshi,
    /// The same, of all transactions of 24 hours.
    pub per_day: Datoshi,
}

/// Where gRPC is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GrpcListen {
    /// On 127.0.0.1:9443, or on a free port when that is taken, so that several nodes share a machine.
    #[default]
    Usual,
    /// There and nowhere else; port 0 takes a free one.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// A setting that is a secret: it can be read, but not shown by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}
impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a node proves to NATS who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsLogin {
    /// Not at all, or by what its address says.
    None,
    /// By a credentials file: a JWT and its seed.
    CredsFile(PathBuf),
    /// By the file of an nkey seed.
    NkeyFile(PathBuf),
    /// By name and password.
    Password {
        /// Who.
        user: String,
        /// The password.
        password: SecretText,
    },
    /// By the one token of the server.
    Token(SecretText),
}

/// Who runs functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workers {
    /// This node, in children of its own.
    #[default]
    Embedded,
    /// Workers that are reached over NATS; this node runs none of its tenants' code.
    Remote,
}

/// A certificate that a process of ours shows to a server, and its key; both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// The NATS servers of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// Servers of one cluster, `nats://`, `tls://` or `ws(s)://`; they may hold a user and a password.
    pub urls: Vec<String>,
    /// How we log in.
    pub login: NatsLogin,
    /// Certificates that sign the servers' own; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// What we show to the servers.
    pub certificate: Option<ClientCertificate>,
    /// Who runs functions.
    pub workers: Workers,
    /// Copies of each message; none: three in a cluster of servers, else one.
    pub replicas: Option<u8>,
}

/// The PostgreSQL of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`
    pub url: SecretText,
    /// The file that holds the password alone, when the address does not.
    pub password_file: Option<PathBuf>,
}

/// The certificate that the node shows to its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The chain, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// Authorities whose certificates callers must show, PEM; none: they need none.
    pub client_ca_file: Option<PathBuf>,
}

/// Where the root key of secrets comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsRoot {
    /// A file in the data directory, made at the first start.
    Own,
    /// A file elsewhere.
    File(PathBuf),
    /// Nowhere yet: somebody unseals the vault.
    Sealed,
    /// A key on a PKCS #11 token. As long as the stored root is a key, that is read from the file (none: the node's own), until
    /// somebody moves it to the token.
    Token {
        /// Which, `pkcs11:…`.
        uri: String,
        /// Where the root is while it is a key.
        before: Option<PathBuf>,
    },
}

/// Settings of a node. Start from [`NodeOptions::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The data directory; made when it is not there.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen for gRPC.
    pub grpc: GrpcListen,
    /// The certificate of the HTTP and gRPC listeners; none: in the clear.
    pub tls: Option<TlsOptions>,
    /// The messages of a cluster; none: in this process.
    pub nats: Option<NatsOptions>,
    /// The truth of a cluster; none: SQLite in the data directory.
    pub postgres: Option<PostgresOptions>,
    /// The binary that plays the child roles; our own.
    pub exe: PathBuf,
    /// Runs tenants' code below the tier of confinement that it needs. Shown by every page and answer about the node.
    pub insecure_no_jail: bool,
    /// The most that a function may ask for.
    pub limits_max: Limits,
    /// How long history is kept.
    pub retention: Retention,
    /// Of each project's key-value namespace.
    pub kv_quota: KvQuota,
    /// How old accepted work may be when it begins.
    pub queue_age_max: Duration,
    /// Where the compiled engine is kept between starts.
    pub cache_dir: PathBuf,
    /// Where `runtime.json` is left beside the data directory; none: only there.
    pub state_dir: Option<PathBuf>,
    /// The chain.
    pub chain: ChainChoice,
    /// The file with the secret that encrypts the signer's keys; none: one is made in the data directory.
    pub signer_secret: Option<PathBuf>,
    /// Who pays for transactions; none: whom the signer knows from before, and on a development chain its first account.
    pub wallet: Option<PayingWallet>,
    /// Where `make setup` leaves the programs that a development chain needs.
    pub tools_dir: PathBuf,
    /// Networks that functions may reach although they are not public.
    pub egress_allow: Vec<neofn_egress::Cidr>,
    /// A file with certificates of authorities to be believed beside the web's.
    pub egress_ca: Option<PathBuf>,
    /// The root key of secrets.
    pub secrets_root: SecretsRoot,
    /// Sandbox processes; 0: one per core.
    pub children: u32,
    /// Bounds of the HTTP server.
    pub server: ServerOptions,
    /// Who may do what.
    pub access: AccessOptions,
    /// How many requests callers may send.
    pub rates: RateLimits,
    /// Networks of proxies whose word about where a request comes from is taken.
    pub trusted_proxies: Vec<neofn_egress::Cidr>,
    /// What things cost; none: nothing does.
    pub bank: Option<BankChoice>,
    /// How often the audit log's root is written to the chain; none: never.
    pub anchor_every: Option<Duration>,
}

impl NodeOptions {
    /// The defaults for a data directory, with the user's own cache and state directories.
    pub fn new(data: impl Into<PathBuf>) -> Result<Self, Error> {
        let data = data.into();
        let exe = std::env::current_exe()
            .map_err(|e| Error::new(Code::ConfigInvalid, "cannot find this program's own file").because(e))?;
        Ok(Self {
            chain: ChainChoice::None,
            signer_secret: None,
            wallet: None,
            tools_dir: std::env::var_os("NEOFN_CACHE_DIR")
                .map(PathBuf::from)
                .or_else(|| user_directory("XDG_CACHE_HOME", ".cache"))
                .unwrap_or_else(|| data.join("cache"))
                .join("tools"),
            cache_dir: user_directory("XDG_CACHE_HOME", ".cache")
                .map_or_else(|| data.join("cache"), |d| d.join("engine")),
            state_dir: state_directory(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            grpc: GrpcListen::default(),
            tls: None,
            nats: None,
            postgres: None,
            exe,
            insecure_no_jail: false,
            limits_max: Limits::default(),
            retention: Retention::default(),
            kv_quota: KvQuota::default(),
            queue_age_max: Duration::from_secs(24 * 3_600),
            egress_allow: Vec::new(),
            egress_ca: None,
            secrets_root: SecretsRoot::Own,
            children: 0,
            server: ServerOptions::default(),
            rates: RateLimits::default(),
            trusted_proxies: Vec::new(),
            access: AccessOptions::default(),
            bank: None,
            anchor_every: None,
            data,
        })
    }
}

/// The user's state directory of neofn: `$XDG_STATE_HOME/neofn`, else `~/.local/state/neofn`.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    user_directory("XDG_STATE_HOME", ".local/state")
}

fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    // the specification of these directories says that a relative one is to be ignored
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute(variable)
        .or_else(|| Some(absolute("HOME")?.join(below_home)))
        .map(|dir| Path::join(&dir, "neofn"))
}
