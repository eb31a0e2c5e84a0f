//! The bank: what projects ask of it, and what it does with every block. Writes entries; the rules are the ledger's.

mod activity;
mod cover;
mod error;
mod owners;
mod policy;
mod reconcile;
mod requests;
mod scan;

pub use activity::Report;
pub use cover::{Given, Needs};
pub use error::BankError;
pub use owners::{Closed, Estate, Suspended};
pub use policy::{Limits, Policy, Refill, Sponsorship};
pub use reconcile::Reconciled;
pub use requests::{Asked, Deposits, Withdrawal};

use crate::ledger::Purpose;
use crate::port::{LedgerStore, Projects, Treasury};
use crate::purse::Purses;
use neofn_types::{Clock, Datoshi};
use std::sync::Arc;

/// The project in whose name the bank itself sends. No tenant can have it: names begin with a letter or a digit, and this
/// one is reserved.
pub const TREASURY_PROJECT: &str = "neofn-bank";

/// Holds that end when a transaction does.
pub(crate) const PAYMENTS: [Purpose; 4] = [
    Purpose::Withdrawal,
    Purpose::NetworkFee,
    Purpose::Sponsored,
    Purpose::Transfer,
];

/// What a bank stands on.
#[derive(Clone)]
pub struct BankOptions {
    /// The ledger.
    pub store: Arc<dyn LedgerStore>,
    /// The operator's accounts on chain; none: no deposits, no withdrawals.
    pub treasury: Option<Arc<dyn Treasury>>,
    /// Which projects there are.
    pub projects: Arc<dyn Projects>,
    /// What calls spend in memory.
    pub purses: Purses,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Credit of a new account; zero: none.
    pub allocation: Datoshi,
    /// The most that the fees of a withdrawal may be.
    pub withdrawal_fee_max: Datoshi,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Bank(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) options: BankOptions,
    /// One activation at a time: between a look at a payment and what is written for it nobody else looks.
    pub(crate) active: tokio::sync::Mutex<()>,
    /// What the last comparison with the chain showed.
    pub(crate) reconciled: parking_lot::Mutex<Option<Reconciled>>,
}

impl Bank {
    /// Starts nothing: whoever has it calls [`Bank::activate`] with every block and now and then.
    #[must_use]
    pub fn new(options: BankOptions) -> Self {
        Self(Arc::new(Shared {
            options,
            active: tokio::sync::Mutex::default(),
            reconciled: parking_lot::Mutex::default(),
        }))
    }
    /// What calls spend from.
    #[must_use]
    pub fn purses(&self) -> &Purses {
        &self.0.options.purses
    }
    pub(crate) fn store(&self) -> &dyn LedgerStore {
        &*self.0.options.store
    }
}
