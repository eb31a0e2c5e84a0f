//! The chain and its transaction manager, of which the bank sees a treasury: a file with a line for each block, which
//! outlives every process. Knows what each transaction moves, and nothing of the ledger.

use async_trait::async_trait;
use neofn_gas::ledger::{Memo, Movement};
use neofn_gas::port::{Payment, PaymentError, PaymentName, PaymentState, Treasury};
use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NETWORK: u32 = 42;
pub const OPENING: i64 = 100_000_000_000;
pub const DEPOSIT: i64 = 5_000_000_000;
pub const WITHDRAWN: i64 = 700_000_000;
/// What every transaction burns, and what may be set aside for it.
pub const FEE: i64 = 1_200_000;
pub const FEE_MAX: i64 = 2_000_000;
pub const WITHDRAWAL_FEE_MAX: i64 = 5_000_000;
/// A deposit without a memo; its owner turns up, and closes their account.
pub const LOST: i64 = 20_000_000;
pub const CLOSED: i64 = LOST - WITHDRAWAL_FEE_MAX;
/// What left the treasury without anybody's order.
pub const STRAY: i64 = 7_000;
/// What transactions give away.
pub const GIVEN: i64 = 90_000_000;
pub const NODES_GIVEN: i64 = 40_000_000;
pub const MORE_GIVEN: i64 = 3_000_000;

/// A project's transaction that costs its fees alone.
pub const OWN_FEES: [u8; 16] = [0x11; 16];
/// One whose fees the operator bears.
pub const SPONSORED: [u8; 16] = [0x22; 16];
/// The operator's own, which gives something away.
pub const NODES: [u8; 16] = [0x33; 16];
/// One that its manager refused before anything was signed.
pub const REFUSED: [u8; 16] = [0x44; 16];
/// A function's gift.
pub const GIFT: [u8; 16] = [0x55; 16];
/// One that was built anew, needs more fees, and moves what nobody foretold.
pub const MORE: [u8; 16] = [0x66; 16];
/// A gift that faults.
pub const FAULTED: [u8; 16] = [0x77; 16];
/// A gift that was signed and never comes into a block.
pub const EXPIRED: [u8; 16] = [0x88; 16];

pub const OURS: ScriptHash = ScriptHash([1; 20]);
pub const THEIRS: ScriptHash = ScriptHash([2; 20]);

/// Names each step in a file, and dies at one of them, by its number in this process.
pub struct Points {
    pub seen: PathBuf,
    pub fail_at: Option<usize>,
    pub reached: AtomicUsize,
}
impl Points {
    pub fn reach(&self, name: &str) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.seen)
            .unwrap();
        writeln!(file, "{name}").unwrap();
        if self.fail_at == Some(self.reached.fetch_add(1, Ordering::SeqCst)) {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-9", &me]).status().unwrap();
            loop {
                std::thread::park();
            }
        }
    }
    pub fn around<T>(&self, name: &str, result: T) -> T {
        self.reach(&format!("{name}:after"));
        result
    }
}

/// A block a line: `deposit`, `lost`, `stray`, a payment by its name and amount, or a managed transaction by its id.
pub struct FileChain {
    pub file: PathBuf,
    pub points: Arc<Points>,
}
impl FileChain {
    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
    /// As the transaction manager does: one line for one name, on disk.
    pub fn once(&self, name: &str) {
        if self.lines().iter().any(|l| l == name) {
            return;
        }
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)
            .unwrap();
        writeln!(file, "{name}").unwrap();
        file.sync_all().unwrap();
    }
    pub fn sends(&self, managed: [u8; 16]) {
        self.once(&hex(&managed));
    }
    pub fn has(&self, managed: [u8; 16]) -> bool {
        self.lines().contains(&hex(&managed))
    }
    pub fn height(&self) -> u64 {
        height_of(self.lines().len())
    }
    /// What the treasury has now.
    fn left(&self) -> i64 {
        let moved = (11..=self.height()).flat_map(|height| self.movements(height));
        moved.fold(OPENING, |sum, m| match m.to {
            Some(OURS) => sum + m.amount.0,
            _ => sum - m.amount.0,
        })
    }
    pub fn movements(&self, height: u64) -> Vec<Movement> {
        let line = &self.lines()[usize::try_from(height - 11).unwrap()];
        let container = container(height);
        let moved = |index, from, to, amount, memo: Option<String>| Movement {
            container,
            tx: Some(container),
            index,
            from,
            to,
            amount: Datoshi(amount),
            memo: memo.map(String::into_bytes),
            at: UnixMillis(5),
        };
        let memo = Memo {
            network: NETWORK,
            project: "shop".parse().unwrap(),
        };
        let (us, them) = (Some(OURS), Some(THEIRS));
        match line.as_str() {
            "deposit" => vec![moved(0, them, us, DEPOSIT, Some(memo.to_string()))],
            "lost" => vec![moved(0, them, us, LOST, None)],
            "stray" => vec![moved(0, us, None, STRAY, None)],
            line => {
                let mut all = vec![moved(0, us, None, FEE, None)];
                let sent = sent(line);
                if sent > 0 {
                    all.push(moved(1, us, them, sent, None));
                }
                all
            }
        }
    }
}

const fn height_of(lines: usize) -> u64 {
    10 + lines as u64
}
/// The block at a height and its only transaction.
fn container(height: u64) -> Hash256 {
    Hash256([u8::try_from(height).unwrap(); 32])
}
/// What a transaction gives away, without its fees.
fn sent(line: &str) -> i64 {
    if let Some((_, amount)) = line.rsplit_once(' ') {
        return amount.parse().unwrap();
    }
    let gives = [(GIFT, GIVEN), (NODES, NODES_GIVEN), (MORE, MORE_GIVEN)];
    let of = gives.iter().find(|(managed, _)| hex(managed) == line);
    of.map_or(0, |(_, amount)| *amount)
}
fn line_of(name: &PaymentName) -> String {
    match name {
        PaymentName::Payment { project, idempotency } => format!("{project} {idempotency}"),
        PaymentName::Managed(id) => hex(id),
    }
}
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[async_trait]
impl Treasury for FileChain {
    fn network(&self) -> u32 {
        NETWORK
    }
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError> {
        Ok(Some(OURS))
    }
    async fn balance(&self, accounts: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError> {
        assert_eq!(accounts, [OURS]);
        Ok((self.height(), Datoshi(self.left())))
    }
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError> {
        let amount = match payment.project.as_ref() {
            "shop" => WITHDRAWN,
            _ => CLOSED,
        };
        assert_eq!((payment.to, payment.amount), (THEIRS, Datoshi(amount)));
        assert!(payment.fee_max >= Datoshi(FEE));
        self.points.reach("pay:before");
        let name = PaymentName::Payment {
            project: payment.project,
            idempotency: payment.idempotency,
        };
        self.once(&format!("{} {amount}", line_of(&name)));
        Ok(self.points.around("pay", PaymentState::Waiting { tx: None }))
    }
    async fn moved(&self, tx: Hash256, ours: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError> {
        assert_eq!(*ours, [OURS].into());
        self.points.reach("moved:before");
        let all = (11..=self.height()).flat_map(|height| self.movements(height));
        let given = all.filter(|m| m.tx == Some(tx) && m.to == Some(THEIRS));
        let given = given.map(|m| m.amount.0).sum();
        Ok(self.points.around("moved", Datoshi(given)))
    }
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError> {
        self.points.reach("state:before");
        let line = line_of(name);
        let paid = format!("{line} ");
        let is = |l: &String| *l == line || l.starts_with(&paid);
        let tx = self
            .lines()
            .iter()
            .position(is)
            .map(|n| container(height_of(n + 1)));
        let fees = Datoshi(FEE);
        let state = match (name, tx) {
            (PaymentName::Managed(EXPIRED), _) => Some(PaymentState::Never),
            (PaymentName::Managed(FAULTED), Some(tx)) => Some(PaymentState::Faulted { tx, fees }),
            (_, tx) => tx.map(|tx| PaymentState::Paid { tx, fees }),
        };
        Ok(self.points.around("state", state))
    }
}
