//! The node's side: starts the signer, asks it one thing at a time, and starts it anew when it has ended.

use super::policy::SigningPolicy;
use super::wire::{self, AccountInfo, Import, Reply, Request, SignRequest, Signature};
use super::{SignError, Signing};
use crate::tx::Witness;
use async_trait::async_trait;
use neofn_jail::Tether;
use neofn_types::ScriptHash;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, watch};

/// How long to look for what a signer said just before it ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a start may take: Argon2 and the reading of the journal.
const START: Duration = Duration::from_secs(60);
/// How long an answer may take: one signature and one write to disk.
const ANSWER: Duration = Duration::from_secs(30);

/// How the signer is started.
#[derive(Debug, Clone)]
pub struct SignerOptions {
    /// The binary that plays the role.
    pub exe: PathBuf,
    /// What makes it play it, before the role's own arguments.
    pub args: Vec<OsString>,
    /// Where the journal is, and the secret unless another is named.
    pub directory: PathBuf,
    /// A file with the secret that encrypts the keys; none: one is made beside the journal, readable by us alone.
    pub secret: Option<PathBuf>,
    /// Go on where the jail does not hold.
    pub insecure_no_jail: bool,
}

/// The signer's process. Dropped: it ends.
pub struct SignerProcess {
    options: SignerOptions,
    line: Mutex<Option<Line>>,
}

struct Line {
    socket: UnixStream,
    ended: watch::Receiver<bool>,
    process: Tether,
}

impl SignerProcess {
    /// Starts it; it holds its keys when this returns.
    pub async fn start(options: SignerOptions) -> Result<Self, SignError> {
        let line = Line::open(&options).await.map_err(SignError::Unavailable)?;
        Ok(Self {
            options,
            line: Mutex::new(Some(line)),
        })
    }
    /// The process id, for those who look after it; none while it is not running.
    pub async fn pid(&self) -> Option<u32> {
        self.line.lock().await.as_ref().map(|l| l.process.pid())
    }

    async fn ask(&self, request: &Request) -> Result<Reply, SignError> {
        let bytes = wire::frame(request).map_err(|e| SignError::Refused(e.to_string()))?;
        let mut slot = self.line.lock().await;
        if slot.as_ref().is_some_and(|line| *line.ended.borrow()) {
            *slot = None;
        }
        // taken out while it is asked: should this future be dropped half way, nobody reads another one's answer
        let mut line = match slot.take() {
            Some(line) => line,
            None => Line::open(&self.options).await.map_err(SignError::Unavailable)?,
        };
        match line.exchange(&bytes).await {
            Ok(Reply::Failed(why)) => Err(SignError::Unavailable(why)),
            Ok(reply) => {
                *slot = Some(line);
                match reply {
                    Reply::Refused(why) => Err(SignError::Refused(why)),
                    Reply::NoAccount(account) => Err(SignError::NoAccount(account)),
                    reply => Ok(reply),
                }
            }
            Err(e) => Err(SignError::Unavailable(e.to_string())),
        }
    }

    /// Gives the signer a key or an account. One that it has keeps its policy.
    pub async fn import(
        &self,
        import: Import,
        label: &str,
        policy: SigningPolicy,
    ) -> Result<AccountInfo, SignError> {
        let label = label.to_owned();
        match self
            .ask(&Request::Import {
                import,
                label,
                policy,
            })
            .await?
        {
            Reply::Account(info) => Ok(info),
            _ => Err(out_of_turn()),
        }
    }
    /// Replaces what an account may be used for.
    pub async fn set_policy(
        &self,
        account: ScriptHash,
        policy: SigningPolicy,
    ) -> Result<AccountInfo, SignError> {
        match self.ask(&Request::SetPolicy { account, policy }).await? {
            Reply::Account(info) => Ok(info),
            _ => Err(out_of_turn()),
        }
    }
    /// Makes an account the one that pays where nobody says otherwise.
    pub async fn set_payer(&self, account: ScriptHash) -> Result<AccountInfo, SignError> {
        match self.ask(&Request::SetPayer { account }).await? {
            Reply::Account(info) => Ok(info),
            _ => Err(out_of_turn()),
        }
    }
    /// Signatures that were made after the numbered one, oldest first; of the newest some thousands.
    pub async fn signatures(&self, after: u64, limit: u32) -> Result<Vec<Signature>, SignError> {
        match self.ask(&Request::Signatures { after, limit }).await? {
            Reply::Signatures(list) => Ok(list),
            _ => Err(out_of_turn()),
        }
    }
}

fn out_of_turn() -> SignError {
    SignError::Unavailable("it answered something else than was asked".to_owned())
}

#[async_trait]
impl Signing for SignerProcess {
    async fn accounts(&self) -> Result<Vec<AccountInfo>, SignError> {
        match self.ask(&Request::Accounts).await? {
            Reply::Accounts(accounts) => Ok(accounts),
            _ => Err(out_of_turn()),
        }
    }
    async fn sign(&self, request: SignRequest) -> Result<Witness, SignError> {
        match self.ask(&Request::Sign(request)).await? {
            Reply::Signed(witness) => Ok(witness),
            _ => Err(out_of_turn()),
        }
    }
}

impl Line {
    async fn open(options: &SignerOptions) -> Result<Self, String> {
        let failed = |e: io::Error| format!("start {}: {e}", options.exe.display());
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let output: OwnedFd = theirs.try_clone().map_err(failed)?.into();
        let mut command = Command::new(&options.exe);
        command.args(&options.args).arg(&options.directory);
        if let Some(secret) = &options.secret {
            command.arg("--secret").arg(secret);
        }
        if options.insecure_no_jail {
            command.arg("--insecure-no-jail");
        }
        command
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null());
        // the thread that waits for it keeps its end of the pipe open, so its end must be told
        let (tell, ended) = watch::channel(false);
        let process = Tether::spawn(command, move |status| {
            tracing::debug!(?status, "the signer ended");
            let _ = tell.send(true);
        })
        .map_err(failed)?;
        let mut line = Self {
            socket: UnixStream::from_std(ours).map_err(failed)?,
            ended,
            process,
        };
        match tokio::time::timeout(START, line.receive()).await {
            Ok(Ok(Reply::Ready { tier })) => {
                tracing::info!(jail = tier, pid = line.process.pid(), "the signer is ready");
                Ok(line)
            }
            Ok(Ok(Reply::Failed(why))) => Err(why),
            Ok(Ok(_)) => Err("it spoke out of turn".to_owned()),
            Ok(Err(e)) => Err(failed(e)),
            Err(_) => Err("it was not ready in time".to_owned()),
        }
    }
    async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        let asking = async {
            self.socket.write_all(request).await?;
            self.receive().await
        };
        tokio::time::timeout(ANSWER, asking)
            .await
            .unwrap_or_else(|_| Err(io::Error::other("no answer in time")))
    }
    async fn receive(&mut self) -> io::Result<Reply> {
        let Self { socket, ended, .. } = self;
        let read = async {
            let mut header = [0u8; 4];
            socket.read_exact(&mut header).await?;
            let mut body = vec![0; wire::length(header)?];
            socket.read_exact(&mut body).await?;
            Ok(serde_json::from_slice(&body)?)
        };
        tokio::pin!(read);
        tokio::select! {
            biased;
            reply = &mut read => return reply,
            _ = ended.wait_for(|ended| *ended) => {}
        }
        // what it said before it ended lies in the socket, though nobody may have noticed yet
        let last_words = tokio::time::timeout(LAST_WORDS, read).await;
        last_words.unwrap_or_else(|_| Err(io::Error::other("its process ended")))
    }
}
