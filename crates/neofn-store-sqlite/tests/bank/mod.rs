//! What the tests of the ledger share.

pub mod random;
pub mod rules;
pub mod steps;

use neofn_gas::ledger::{Account, Detail, Entry, Hold, Purpose, Transfer, TransferId};
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_types::{Clock, Datoshi, Entropy, UnixMillis};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub struct Real;
impl Clock for Real {
    fn now(&self) -> UnixMillis {
        UnixMillis(i64::try_from(self.monotonic().as_millis()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }
}
impl Entropy for Real {
    fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).unwrap();
    }
}

/// A small generator with a seed: the same numbers every time.
pub struct Dice(pub u64);
impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

pub fn open(dir: &Path) -> Arc<Store> {
    Arc::new(Store::open(StoreOptions::new(dir.join("data"), Arc::new(Real))).unwrap())
}
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
pub fn project(n: u64) -> Account {
    Account::Project(format!("p{n}").parse().unwrap())
}
pub fn id(what: &str, n: u64) -> TransferId {
    TransferId::of(what, &[&n.to_be_bytes()])
}
pub fn transfer(id: TransferId, debit: Account, credit: Account, amount: i64) -> Entry {
    Entry::Transfer(Transfer {
        id,
        purpose: Purpose::Funding,
        debit,
        credit,
        amount: Datoshi(amount),
        at: UnixMillis(1),
        detail: Detail::default(),
    })
}
pub fn hold(id: TransferId, debit: Account, amount: i64, at_least: i64) -> Entry {
    Entry::Hold(Hold {
        id,
        purpose: Purpose::Lease,
        debit,
        credit: Account::Fees,
        amount: Datoshi(amount),
        at_least: Datoshi(at_least),
        at: UnixMillis(1),
        detail: Detail::default(),
    })
}
pub fn post(id: TransferId, hold: TransferId, amount: i64) -> Entry {
    Entry::Post {
        id,
        hold,
        amount: Datoshi(amount),
        purpose: Purpose::Charge,
        at: UnixMillis(1),
        detail: Detail::default(),
    }
}
