//! The child process: opens its files, confines itself, opens the vault, and answers until its standard input ends.

use super::SignError;
use super::vault::{LOCKED_BYTES, Trouble, Vault};
use super::wire::{self, Reply, Request};
use neofn_jail::{Class, Policy, Tier};
use neofn_types::{Clock, Entropy, ScriptHash};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const INSECURE: &str = "--insecure-no-jail";
const SECRET: &str = "--secret";
const JOURNAL_FILE: &str = "journal";
const SECRET_FILE: &str = "secret";
/// Argon2 takes 19 MiB of it.
const DATA_BYTES_MAX: u64 = 256 << 20;
/// Some two million signatures.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;
const SECRET_BYTES_MAX: u64 = 4_096;
const LOCK_TRIES: u32 = 150;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What the composition root gives the child.
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Runs the role: `DIRECTORY [--secret FILE] [--insecure-no-jail]`. To be called first in `main`: confining needs a
/// process with one thread.
#[must_use]
pub fn main(args: &[OsString], with: Surroundings) -> ExitCode {
    let mut out = io::stdout();
    match start(args, with) {
        Ok((vault, tier)) => {
            let hello = Reply::Ready {
                tier: tier.to_string(),
            };
            if wire::write(&mut out, &hello).is_err() {
                return ExitCode::FAILURE;
            }
            serve(vault, &mut io::stdin().lock(), &mut out)
        }
        Err(why) => {
            // nobody may be listening any more
            drop(wire::write(&mut out, &Reply::Failed(why)));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &[OsString], with: Surroundings) -> Result<(Vault, Tier), String> {
    let (directory, rest) = args.split_first().ok_or("no directory is given")?;
    let directory = Path::new(directory);
    let insecure = rest.iter().any(|a| a == INSECURE);
    let given = rest
        .iter()
        .position(|a| a == SECRET)
        .and_then(|n| rest.get(n + 1));
    let (journal, mut secret) = open(directory, given.map(PathBuf::from), &*with.entropy)
        .map_err(|(what, e)| format!("{what}: {e}"))?;
    let policy = Policy {
        keep_fds: vec![0, 1, journal.as_raw_fd(), secret.as_raw_fd()],
        data_bytes_max: Some(DATA_BYTES_MAX),
        insecure,
        locked_bytes: LOCKED_BYTES,
        file_bytes_max: JOURNAL_BYTES_MAX,
        ..Policy::strict(Class::Signer)
    };
    let confined = neofn_jail::confine(&policy).map_err(|e| {
        let cause = std::error::Error::source(&e)
            .map(|s| format!(": {s}"))
            .unwrap_or_default();
        format!("not confined: {e}{cause}")
    })?;
    // only now: the process that stays outside the jail must not have it in its memory
    let mut text = Zeroizing::new(Vec::new());
    (&mut secret)
        .take(SECRET_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|e| format!("read the signer's secret: {e}"))?;
    let text = text.trim_ascii();
    if text.len() < 8 {
        return Err("the signer's secret is shorter than 8 bytes".to_owned());
    }
    let vault =
        Vault::open(journal, text, confined.locked, with.clock, with.entropy).map_err(|e| e.to_string())?;
    Ok((vault, confined.tier))
}

type Failed = (String, io::Error);

/// Opens the journal and the secret; makes both where there are none, unless the operator named the secret.
fn open(directory: &Path, secret: Option<PathBuf>, entropy: &dyn Entropy) -> Result<(File, File), Failed> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e| (path, e)
    };
    std::fs::create_dir_all(directory).map_err(failed(directory))?;
    let path = directory.join(JOURNAL_FILE);
    let journal = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed(&path))?;
    lock(&journal).map_err(failed(&path))?;
    let named = secret.is_some();
    let path = secret.unwrap_or_else(|| directory.join(SECRET_FILE));
    let secret = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && !named => {
            // a journal without its secret cannot be opened by a new one
            if journal.metadata().map_err(failed(&path))?.len() > 0 {
                return Err((path.display().to_string(), e));
            }
            make_secret(directory, &path, entropy).map_err(failed(&path))?;
            File::open(&path).map_err(failed(&path))?
        }
        opened => opened.map_err(failed(&path))?,
    };
    let parent = File::open(directory).and_then(|d| d.sync_all());
    parent.map_err(failed(directory))?;
    Ok((journal, secret))
}

/// One signer at a time. That of a node that was just killed may not have noticed yet.
fn lock(journal: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match journal.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Err(io::Error::other("another signer uses it"))
}

/// A new secret, whole or not at all.
fn make_secret(directory: &Path, path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let mut random = Zeroizing::new([0u8; 32]);
    entropy.fill(random.as_mut_slice());
    let mut text = Zeroizing::new([0u8; 64]);
    hex::encode_to_slice(random.as_slice(), text.as_mut_slice()).map_err(io::Error::other)?;
    let new = directory.join("secret.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_slice())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn serve(mut vault: Vault, input: &mut impl io::Read, out: &mut impl io::Write) -> ExitCode {
    loop {
        let request = match wire::read(input) {
            Ok(Some(request)) => request,
            Ok(None) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        };
        let reply = answer(&mut vault, request);
        let broken = matches!(reply, Reply::Failed(_));
        if wire::write(out, &reply).is_err() || broken {
            // a journal that may end in half a line is read again by the next process
            return ExitCode::FAILURE;
        }
    }
}

fn account_of(vault: &mut Vault, account: ScriptHash) -> Reply {
    let all = vault.accounts();
    all.into_iter()
        .find(|a| a.account == account)
        .map_or(Reply::NoAccount(account), Reply::Account)
}

fn answer(vault: &mut Vault, request: Request) -> Reply {
    let done = match request {
        Request::Accounts => return Reply::Accounts(vault.accounts()),
        Request::Signatures { after, limit } => return Reply::Signatures(vault.signatures(after, limit)),
        Request::Import {
            import,
            label,
            policy,
        } => vault.import(import, label, policy).map(Reply::Account),
        Request::SetPolicy { account, policy } => vault
            .set_policy(account, policy)
            .map(|()| account_of(vault, account)),
        Request::SetPayer { account } => vault.set_payer(account).map(|()| account_of(vault, account)),
        Request::Sign(request) => vault.sign(&request).map(Reply::Signed),
    };
    done.unwrap_or_else(|trouble| match trouble {
        Trouble::Refused(SignError::Refused(why) | SignError::Unavailable(why)) => Reply::Refused(why),
        Trouble::Refused(SignError::NoAccount(account)) => Reply::NoAccount(account),
        Trouble::Broken(e) => Reply::Failed(e.to_string()),
    })
}
