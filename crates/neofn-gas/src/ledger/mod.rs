//! Double entry in integer datoshi: what an account is, what may be done to it, and what came of it. Pure; whoever stores
//! it calls [`State`] and the rules of entries, and adds nothing of its own to the rules.

mod account;
mod budget;
mod charge;
mod deposit;
mod entry;
mod price;
mod report;
mod rules;
mod state;

pub use account::{Account, AccountRow};
pub use budget::{Alert, Budget, BudgetRow, Period, THRESHOLDS};
pub use charge::{Charge, OpenHold};
pub use deposit::{Memo, MemoError, Movement, Routed, Routes, route};
pub use entry::{Detail, Entry, Hold, Purpose, Refused, Transfer, TransferId, Written};
pub use price::UnitPrice;
pub use report::{HoldRow, StatementFilter, StatementLine, UsageFilter, UsageLine, statement_csv, usage_csv};
pub use rules::{KnownHold, KnownTransfer, Part, Scope, Source};
pub use state::{State, Totals};
