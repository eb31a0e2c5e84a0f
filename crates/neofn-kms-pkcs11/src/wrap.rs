//! The port: a thread of its own that speaks to the token, because a token blocks whoever asks it. What it answers is
//! waited for, but not for ever.

use crate::fault::Fault;
use crate::token::{NONCE, Token};
use crate::uri::Pkcs11Uri;
use async_trait::async_trait;
use neofn_secrets::Key;
use neofn_secrets::port::{KeyWrap, WrapError};
use neofn_types::Entropy;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// What waits for the token at the most; a token does some hundred a second.
const WAITING_MAX: usize = 256;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long whoever drops the root waits for the token to be let go.
const FAREWELL: Duration = Duration::from_secs(2);

enum Ask {
    Wrap(Zeroizing<Vec<u8>>),
    Unwrap(Vec<u8>),
}
struct Job {
    ask: Ask,
    /// Used once at the most, whatever is done with it.
    nonce: [u8; NONCE],
    context: Vec<u8>,
    answer: oneshot::Sender<Result<Zeroizing<Vec<u8>>, Fault>>,
}

/// A root key on a token. Nothing is loaded or asked before the first key is wrapped or unwrapped.
pub struct Pkcs11Root {
    name: String,
    entropy: Arc<dyn Entropy>,
    jobs: Option<SyncSender<Job>>,
    /// Closed when the thread has let the token go.
    ended: Mutex<Receiver<()>>,
}

impl Pkcs11Root {
    /// The key that a URI names. The thread ends with the last of its users.
    pub fn new(uri: Pkcs11Uri, entropy: Arc<dyn Entropy>) -> std::io::Result<Self> {
        let name = uri.key();
        let (jobs, inbox) = sync_channel(WAITING_MAX);
        let (alive, ended) = channel();
        std::thread::Builder::new()
            .name("pkcs11".to_owned())
            .spawn(move || serve(&uri, &inbox, alive))?;
        let (jobs, ended) = (Some(jobs), Mutex::new(ended));
        Ok(Self {
            name,
            entropy,
            jobs,
            ended,
        })
    }

    async fn ask(&self, ask: Ask, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (answer, answered) = oneshot::channel();
        let mut nonce = [0; NONCE];
        self.entropy.fill(&mut nonce);
        let job = Job {
            ask,
            nonce,
            context: context.to_vec(),
            answer,
        };
        let jobs = self.jobs.as_ref().ok_or(Fault::Silent)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Fault::Busy,
            TrySendError::Disconnected(_) => Fault::Silent,
        })?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Fault::Silent),
        }
    }
}

/// The library must not be in use when the process ends: its own cleaning up at exit would run beside the thread that ends it.
impl Drop for Pkcs11Root {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.ended.get_mut().recv_timeout(FAREWELL);
    }
}

#[async_trait]
impl KeyWrap for Pkcs11Root {
    fn name(&self) -> String {
        self.name.clone()
    }
    async fn wrap(&self, key: &Key, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        let text = Zeroizing::new(key.expose().to_vec());
        let mut wrapped = self.ask(Ask::Wrap(text), context).await?;
        Ok(std::mem::take(&mut *wrapped))
    }
    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Key, WrapError> {
        let text = self.ask(Ask::Unwrap(wrapped.to_vec()), context).await?;
        let mut bytes = Zeroizing::new([0u8; 32]);
        if text.len() != bytes.len() {
            return Err(WrapError::Wrong);
        }
        bytes.copy_from_slice(&text);
        Ok(Key::new(*bytes))
    }
}

/// Answers until nobody can ask any more.
fn serve(uri: &Pkcs11Uri, inbox: &Receiver<Job>, alive: Sender<()>) {
    let mut token: Option<Token> = None;
    // a wrong PIN is not tried again: the token would lock itself
    let mut refused: Option<bool> = None;
    while let Ok(job) = inbox.recv() {
        // whoever has stopped waiting wants nothing done any more
        if job.answer.is_closed() {
            continue;
        }
        let answer = match refused {
            Some(locked) => Err(if locked { Fault::PinLocked } else { Fault::PinWrong }),
            None => answered(uri, &mut token, &job),
        };
        if let Err(fault) = &answer
            && fault.is_final()
        {
            refused = Some(matches!(fault, Fault::PinLocked));
        }
        let _ = job.answer.send(answer);
    }
    drop(token);
    drop(alive);
}

/// Does it, with a new session when the one at hand fails: what the token forgot while it was away is no failure.
fn answered(uri: &Pkcs11Uri, token: &mut Option<Token>, job: &Job) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if let Some(open) = token.take() {
        match done(&open, job) {
            Err(Fault::Gone(error)) => {
                tracing::warn!(%error, key = uri.key(), "the session with the token failed; a new one is opened");
                drop(open);
            }
            other => {
                *token = Some(open);
                return other;
            }
        }
    }
    let open = Token::open(uri)?;
    match done(&open, job) {
        // the nonce is still free: nothing was encrypted with it
        Err(Fault::Gone(_)) if matches!(job.ask, Ask::Unwrap(_)) && open.works(&job.nonce) => {
            *token = Some(open);
            Err(Fault::NotOurs)
        }
        // the token that failed is let go, and with it its library if nobody else uses it
        Err(Fault::Gone(error)) => Err(Fault::Gone(error)),
        answer => {
            *token = Some(open);
            answer
        }
    }
}

fn done(token: &Token, job: &Job) -> Result<Zeroizing<Vec<u8>>, Fault> {
    match &job.ask {
        Ask::Wrap(text) => token.encrypt(&job.nonce, &job.context, text).map(Zeroizing::new),
        Ask::Unwrap(wrapped) => token.decrypt(&job.context, wrapped),
    }
}
