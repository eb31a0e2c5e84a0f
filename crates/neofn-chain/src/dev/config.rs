//! The files that the node of a development chain reads.

use super::accounts::{VALIDATOR_KEY, published_wallet, validator_wallet};
use super::{DEV_PASSWORD, DevChainOptions, Keep};
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The network number of development chains. No public network has it, so that nothing signed for one counts elsewhere.
pub const DEV_NETWORK: u32 = 56_753;

pub(super) const CONFIG: &str = "node.yml";
pub(super) const WALLET: &str = "wallet.json";
pub(super) const CLI_WALLET: &str = "validator.yml";
pub(super) const LOG: &str = "node.log";
const VALIDATOR: &str = "validator.json";

/// Writes everything but the chain itself; what was there is replaced.
pub(super) fn write(options: &DevChainOptions) -> io::Result<()> {
    let dir = &options.directory;
    fs::create_dir_all(dir)?;
    write_private(&dir.join(CONFIG), &config(options))?;
    write_private(&dir.join(VALIDATOR), &validator_wallet())?;
    write_private(
        &dir.join(CLI_WALLET),
        &format!("Path: {VALIDATOR}\nPassword: {DEV_PASSWORD}\n"),
    )?;
    write_private(&dir.join(WALLET), &published_wallet())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// The port to other nodes lies on another loopback address: that is how ours is told from it.
fn config(options: &DevChainOptions) -> String {
    let database = match options.keep {
        Keep::InMemory => "Type: inmemory".to_owned(),
        Keep::OnDisk => "Type: boltdb\n    BoltDBOptions:\n      FilePath: chain.bolt".to_owned(),
    };
    format!(
        r#"ProtocolConfiguration:
  Magic: {DEV_NETWORK}
  MaxTraceableBlocks: 2102400
  TimePerBlock: {block_ms}ms
  MemPoolSize: 50000
  StandbyCommittee:
    - {VALIDATOR_KEY}
  ValidatorsCount: 1
  VerifyTransactions: true
ApplicationConfiguration:
  LogLevel: warn
  DBConfiguration:
    {database}
  P2P:
    Addresses:
      - "127.0.0.2:0"
    MinPeers: 0
    MaxPeers: 1
    AttemptConnPeers: 1
    DialTimeout: 3s
    ProtoTickInterval: 2s
    PingInterval: 30s
    PingTimeout: 90s
  Relay: true
  Consensus:
    Enabled: true
    UnlockWallet:
      Path: {VALIDATOR}
      Password: {DEV_PASSWORD}
  RPC:
    Enabled: true
    Addresses:
      - "127.0.0.1:{port}"
    EnableCORSWorkaround: true
    MaxGasInvoke: 50
    SessionEnabled: true
    SessionExpirationTime: 60
    SessionPoolSize: 100
  Prometheus:
    Enabled: false
  Pprof:
    Enabled: false
"#,
        block_ms = options.block_ms,
        port = options.port,
    )
}
