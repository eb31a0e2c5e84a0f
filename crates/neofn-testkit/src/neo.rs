//! A real Neo N3 node for a test: a private net of its own, ended with the test.

use neofn_chain::dev::{DEV_ACCOUNTS, DEV_PASSWORD, DevAccount, DevChain, DevChainOptions, Keep};
use neofn_chain::key::PrivateKey;
use neofn_chain::wallet::ScryptParameters;
use serde_json::{Value, json};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `make setup` leaves programs.
#[must_use]
pub fn tools() -> PathBuf {
    let cache = std::env::var_os("NEOFN_CACHE_DIR").map(PathBuf::from);
    let xdg = || std::env::var_os("XDG_CACHE_HOME").map(|d| PathBuf::from(d).join("neofn"));
    let home = || std::env::var_os("HOME").map(|d| PathBuf::from(d).join(".cache/neofn"));
    let directory = cache.or_else(xdg).or_else(home);
    directory.expect("a cache directory").join("tools")
}

/// The node's binary, which `make setup` installs.
#[must_use]
pub fn neogo() -> PathBuf {
    let binary = tools().join("neogo");
    assert!(binary.is_file(), "{} is missing: make setup", binary.display());
    binary
}

/// A private net with funded accounts. Dropped: ended.
pub struct Neo {
    chain: Option<DevChain>,
    options: DevChainOptions,
    // last, so that the directory outlives the node
    _dir: tempfile::TempDir,
}

impl Neo {
    /// Blocks every 100 ms, in memory.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Keep::InMemory, 100)
    }
    /// Blocks every 100 ms, kept on disk, so that it can be stopped and started again.
    #[must_use]
    pub fn start_on_disk() -> Self {
        Self::start_with(Keep::OnDisk, 100)
    }
    /// With another pace, or on disk, so that it can be stopped and started again.
    #[must_use]
    pub fn start_with(keep: Keep, block_ms: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = DevChainOptions {
            binary: neogo(),
            directory: dir.path().to_owned(),
            keep,
            block_ms,
            port: 0,
        };
        let mut neo = Self {
            chain: None,
            options,
            _dir: dir,
        };
        neo.go_on();
        neo
    }
    /// Starts again after [`Neo::stop`] or [`Neo::kill`], at the same address.
    pub fn go_on(&mut self) {
        let chain = wait(DevChain::start(self.options.clone())).expect("start the chain");
        self.options.port = chain.port();
        self.chain = Some(chain);
    }
    /// Ends the node in order.
    pub fn stop(&mut self) {
        if let Some(chain) = self.chain.take() {
            wait(chain.stop());
        }
    }
    /// `kill -9`. What it made in the last second may be lost, and then it goes on as another chain.
    pub fn kill(&mut self) {
        if let Some(chain) = self.chain.take() {
            wait(chain.kill());
        }
    }

    fn chain(&self) -> &DevChain {
        self.chain.as_ref().expect("the chain was stopped")
    }
    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn rpc(&self) -> String {
        self.chain().rpc()
    }
    /// A NEP-6 file with the funded accounts.
    #[must_use]
    pub fn wallet(&self) -> PathBuf {
        self.chain().wallet()
    }
    /// A wallet with the key of a funded account that opens at once, and the file with its password: `--wallet` and
    /// `--wallet-password-file`.
    #[must_use]
    pub fn quick_wallet(&self, account: &DevAccount) -> [PathBuf; 2] {
        let key = PrivateKey::from_wif(account.wif).expect("a key");
        // as weak as it may be: there is nothing to protect
        let scrypt = ScryptParameters { n: 2, r: 1, p: 1 };
        let text = neofn_chain::wallet::write("test", &[key], "quick", scrypt).expect("a wallet");
        let dir = &self.chain().options().directory;
        let files = [dir.join("quick.json"), dir.join("quick.password")];
        for (file, text) in files.iter().zip([text.as_str(), "quick\n"]) {
            std::fs::write(file, text).expect("write the wallet");
        }
        files
    }
    /// Its password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        DEV_PASSWORD
    }
    /// The funded accounts.
    #[must_use]
    pub fn accounts(&self) -> &'static [DevAccount] {
        &DEV_ACCOUNTS
    }
    /// The node's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.chain().pid()
    }

    /// One call of JSON-RPC; its result.
    #[must_use]
    pub fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = crate::Http::new(&self.rpc(), None).send("POST", "/", body.as_bytes(), &[]);
        let answer = answer.json();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer.get("result").cloned().unwrap_or_default()
    }
    /// The newest block's height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.call("getblockcount", json!([])).as_u64().expect("a number") - 1
    }
    /// Waits until block `height` is there.
    pub fn wait_for_height(&self, height: u64) {
        crate::eventually("the block is made", std::time::Duration::from_secs(60), || {
            (self.height() >= height).then_some(())
        });
    }
    /// Sends GAS from the account that owns most of it; waits until it is in a block.
    pub fn pay_gas(&self, to: &str, amount: &str) {
        wait(self.chain().pay(&[("GAS", to, amount.to_owned())])).expect("pay");
    }
    /// Sends the same amount of GAS several times in one transaction; waits until it is in a block.
    pub fn pay_gas_times(&self, times: u32, to: &str, amount: &str) {
        let payments: Vec<_> = (0..times).map(|_| ("GAS", to, amount.to_owned())).collect();
        wait(self.chain().pay(&payments)).expect("pay");
    }
    /// Transfers from a funded account with the node's own command line; answers the transaction's hash once it is in
    /// a block.
    #[must_use]
    pub fn transfer(&self, from: &DevAccount, to: &str, token: &str, amount: &str) -> String {
        let rpc = self.rpc();
        let said = self.cli(
            &["wallet", "nep17", "transfer", "--force", "--await"],
            &[
                "--from",
                from.address,
                "--to",
                to,
                "--token",
                token,
                "--amount",
                amount,
                "-r",
                &rpc,
            ],
        );
        first_hash(&said)
    }
    /// Deploys a compiled contract; answers its script hash.
    #[must_use]
    pub fn deploy(&self, from: &DevAccount, nef: &Path, manifest: &Path) -> String {
        let (nef, manifest) = (nef.display().to_string(), manifest.display().to_string());
        let rpc = self.rpc();
        let said = self.cli(
            &["contract", "deploy", "--force", "--await"],
            &["--address", from.address, "-i", &nef, "-m", &manifest, "-r", &rpc],
        );
        let hash = said
            .lines()
            .find_map(|l| l.strip_prefix("Contract: "))
            .unwrap_or_else(|| panic!("no contract in {said}"));
        format!("0x{}", hash.trim())
    }
    /// The node's own command line with the published wallet.
    #[must_use]
    pub fn cli(&self, command: &[&str], arguments: &[&str]) -> String {
        let dir = &self.chain().options().directory;
        let config = format!("Path: {}\nPassword: {DEV_PASSWORD}\n", self.wallet().display());
        std::fs::write(dir.join("test-wallet.yml"), config).expect("write the wallet's configuration");
        let output = Command::new(&self.options.binary)
            .args(command)
            .args(["--wallet-config", "test-wallet.yml"])
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .output()
            .expect("run neo-go");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}{complained}");
        said
    }
}

fn first_hash(said: &str) -> String {
    let hash = said
        .split_whitespace()
        .map(|word| word.trim_start_matches("0x"))
        .find(|word| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .unwrap_or_else(|| panic!("no hash in {said}"));
    format!("0x{hash}")
}

/// Runs a future to its end, inside a runtime or outside of one.
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime")
                    .block_on(future)
            })
            .join()
            .expect("it ends")
    })
}
