//! A private net of one node beside ours, for development and tests: real blocks, real contracts, worthless tokens.
//!
//! It ends with the process that started it. Told to end in order it keeps what it has made; killed, it may lose the
//! last second, and then goes on as another chain than the one that was seen.

mod accounts;
mod config;
mod port;

pub use accounts::{DEV_ACCOUNTS, DEV_PASSWORD, DevAccount};
pub use config::DEV_NETWORK;

use crate::error::ChainError;
use crate::rpc::Node;
use crate::script::{CallFlags, ScriptBuilder};
use crate::stack::StackItem;
use neofn_jail::Tether;
use neofn_types::ScriptHash;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;

/// How long the node may take to answer, and the first transfer to be in a block.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end in order.
const STOP: Duration = Duration::from_secs(10);
/// Between two looks at something that takes some tens of milliseconds.
const LOOK: Duration = Duration::from_millis(5);

/// Where the chain lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Gone when the node ends.
    InMemory,
    /// In the directory; goes on where it stopped.
    OnDisk,
}

/// A development chain.
#[derive(Debug, Clone)]
pub struct DevChainOptions {
    /// The neo-go binary that `make setup` installs.
    pub binary: PathBuf,
    /// Its files; made when it is not there.
    pub directory: PathBuf,
    /// Where the chain lives.
    pub keep: Keep,
    /// Time between blocks. Part of no block, so it may differ from start to start.
    pub block_ms: u64,
    /// Where it answers; 0 takes a free port.
    pub port: u16,
}

/// A running development chain. Dropped: told to end.
pub struct DevChain {
    process: Tether,
    ended: watch::Receiver<bool>,
    port: u16,
    options: DevChainOptions,
}

impl DevChain {
    /// Starts the node and funds the accounts, unless they are already.
    pub async fn start(options: DevChainOptions) -> Result<Self, ChainError> {
        let cannot = |what: &str, e: &dyn std::fmt::Display| ChainError::Dev(format!("{what}: {e}"));
        let directory = std::path::absolute(&options.directory).map_err(|e| cannot("its directory", &e))?;
        let options = DevChainOptions { directory, ..options };
        if !options.binary.is_file() {
            return Err(ChainError::Dev(format!(
                "{} is not there; `make setup` installs it",
                options.binary.display()
            )));
        }
        config::write(&options).map_err(|e| cannot("cannot write its files", &e))?;
        let (process, ended) = spawn(&options).map_err(|e| cannot("cannot start the node", &e))?;
        let mut chain = Self {
            process,
            ended,
            port: 0,
            options,
        };
        let ready = tokio::time::timeout(START, chain.become_ready()).await;
        match ready.unwrap_or_else(|_| Err(ChainError::Dev("not ready in time".to_owned()))) {
            Ok(()) => Ok(chain),
            Err(ChainError::Dev(what)) => Err(ChainError::Dev(format!("{what}{}", chain.last_words()))),
            Err(e) => Err(e),
        }
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn rpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    /// Where it answers.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
    /// A NEP-6 file with the funded accounts; its password is [`DEV_PASSWORD`].
    #[must_use]
    pub fn wallet(&self) -> PathBuf {
        self.options.directory.join(config::WALLET)
    }
    /// The settings that it was started with.
    #[must_use]
    pub fn options(&self) -> &DevChainOptions {
        &self.options
    }
    /// The node's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
    /// Ready when the node has ended, whyever.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // an error says that the thread which waits is gone, and the node with it
        drop(ended.wait_for(|ended| *ended).await);
    }
    /// Ends it in order; what it made is kept when it lives on disk.
    pub async fn stop(&self) {
        drop(self.process.terminate());
        if tokio::time::timeout(STOP, self.ended()).await.is_err() {
            drop(self.process.kill());
            self.ended().await;
        }
    }
    /// Ends it at once, as a machine that loses power.
    pub async fn kill(&self) {
        drop(self.process.kill());
        self.ended().await;
    }

    /// A transfer by the account that owns everything at the start, waited for until it is in a block. `token` is `GAS`
    /// or `NEO`, amounts are in whole tokens.
    pub async fn pay(&self, payments: &[(&str, &str, String)]) -> Result<(), ChainError> {
        let transfers = payments
            .iter()
            .map(|(token, to, amount)| format!("{token}:{to}:{amount}"));
        let output = tokio::process::Command::new(&self.options.binary)
            .args(["wallet", "nep17", "multitransfer", "--force", "--await"])
            .args(["--wallet-config", config::CLI_WALLET])
            .args(["--from", accounts::VALIDATOR_MULTISIG])
            .args(["--rpc-endpoint", &self.rpc()])
            .args(transfers)
            .current_dir(&self.options.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| ChainError::Dev(format!("cannot run the node's own command line: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(ChainError::Dev(format!(
            "the first transfer failed: {}",
            said.trim()
        )))
    }

    async fn become_ready(&mut self) -> Result<(), ChainError> {
        self.port = self.until(|| port::of(self.process.pid())).await?;
        let node = Node::new(&self.rpc()).map_err(ChainError::Dev)?;
        while let Err(e) = node.version().await {
            tracing::trace!(error = %e, "the development chain does not answer yet");
            self.until(|| Some(())).await?;
            tokio::time::sleep(LOOK).await;
        }
        if funded(&node).await? {
            return Ok(());
        }
        let mut payments = Vec::new();
        for account in &DEV_ACCOUNTS {
            payments.push(("GAS", account.address, account.gas.to_string()));
            payments.push(("NEO", account.address, account.neo.to_string()));
        }
        self.pay(&payments).await
    }

    /// Looks until there is something, or the node has ended.
    async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, ChainError> {
        loop {
            if *self.ended.borrow() {
                return Err(ChainError::Dev("the node ended while it was starting".to_owned()));
            }
            if let Some(found) = look() {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.options.directory.join(config::LOG)).unwrap_or_default();
        let mut lines: Vec<&str> = log
            .lines()
            .rev()
            .filter(|l| !l.trim().is_empty())
            .take(3)
            .collect();
        lines.reverse();
        if lines.is_empty() {
            String::new()
        } else {
            format!("; its last words: {}", lines.join(" | "))
        }
    }
}

fn spawn(options: &DevChainOptions) -> std::io::Result<(Tether, watch::Receiver<bool>)> {
    let log = fs::File::create(Path::join(&options.directory, config::LOG))?;
    let mut command = Command::new(&options.binary);
    command
        .args(["node", "--config-file", config::CONFIG, "--relative-path", "."])
        .current_dir(&options.directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let (tell, ended) = watch::channel(false);
    let process = Tether::spawn(command, move |status| {
        tracing::debug!(?status, "the development chain's node ended");
        tell.send_replace(true);
    })?;
    Ok((process, ended))
}

async fn funded(node: &Node) -> Result<bool, ChainError> {
    let Some(first) = DEV_ACCOUNTS.first() else {
        return Ok(true);
    };
    let mut script = ScriptBuilder::new();
    script
        .call(
            ScriptHash::GAS,
            "balanceOf",
            CallFlags::ReadOnly,
            &[first.script_hash().into()],
        )
        .map_err(|e| ChainError::Dev(e.to_string()))?;
    let invocation = node.invoke_script(&script.into_bytes(), &[]).await?.halted()?;
    let balance = invocation.stack.first().and_then(StackItem::to_integer);
    Ok(balance.is_some_and(|b| b > 0.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_parse() {
        for account in &DEV_ACCOUNTS {
            assert_eq!(account.script_hash().to_address(), account.address);
        }
        let wallet: serde_json::Value = serde_json::from_str(&accounts::published_wallet()).unwrap();
        assert_eq!(wallet["accounts"].as_array().unwrap().len(), 3);
    }
}
