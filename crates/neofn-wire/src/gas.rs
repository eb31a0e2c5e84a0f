//! Accounts of projects: what they have, what they used, how money comes and goes. Amounts are GAS as text, exact to eight
//! places.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a project has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasView {
    /// Whose.
    pub project: String,
    /// All that is its own.
    pub balance: String,
    /// Of that, what is set aside for calls, transactions and withdrawals on their way.
    pub held: String,
    /// What it can spend.
    pub available: String,
    /// Of the balance, what the operator gave: it pays for calls and fees, first of all, and cannot be taken out.
    #[serde(default)]
    pub credit: String,
    /// Datoshi per million units; 0: calls cost nothing.
    pub price: u64,
}

/// How to pay in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DepositView {
    /// Send GAS to this address.
    pub address: String,
    /// With this as the transfer's data: it says whose the money is.
    pub memo: String,
    /// On this network.
    pub network: u32,
}

/// A line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasLine {
    /// The transfer's name.
    pub id: String,
    /// When.
    pub at: String,
    /// `charge`, `deposit`, `withdrawal`, `network-fee`, …
    pub purpose: String,
    /// How much came; negative: went.
    pub amount: String,
    /// Who had it done: `account:N…`, `key:ID NAME`, `cron:NAME`, `block:NAME` or `event:NAME` of a trigger,
    /// `function:PROJECT/NAME`, `node`, or `anonymous`. Absent of what moved by itself, and of lines from before it was
    /// written down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caller: Option<String>,
    /// Which function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// Which invocation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub invocation: Option<String>,
    /// Units charged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub units: Option<u64>,
    /// At so many datoshi per million units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<u64>,
    /// Which transaction on chain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction: Option<String>,
    /// To or from which address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub party: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Lines, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasStatement {
    /// The lines.
    pub lines: Vec<GasLine>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A limit of spending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasLimitView {
    /// Of one function; absent: of the whole project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// `day`, `month` (both UTC) or `total`.
    pub period: String,
    /// How much.
    pub limit: String,
    /// Spent in the present period.
    pub spent: String,
    /// Set aside and not spent yet.
    pub held: String,
}

/// Limits, and what was told of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasLimits {
    /// Those that there are.
    pub limits: Vec<GasLimitView>,
    /// Limits that were half, four fifths and wholly spent, newest first.
    pub alerts: Vec<GasAlert>,
}

/// A limit that is nearly spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasAlert {
    /// When.
    pub at: String,
    /// Of one function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// So much of it was spent.
    pub percent: u8,
    /// The limit.
    pub limit: String,
}

/// Body of PUT `/api/v1/gas/{project}/limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GasLimitRequest {
    /// Of one function; absent: of the whole project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// `day`, `month` or `total`.
    pub period: String,
    /// How much; null takes the limit away.
    pub limit: Option<String>,
}

/// Body of POST `/api/v1/gas/{project}/withdrawals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// How much, fees beside it.
    pub amount: String,
    /// To whom.
    pub to: String,
}

/// A withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WithdrawalView {
    /// Its name.
    pub id: String,
    /// What goes out.
    pub amount: String,
    /// Set aside for it, fees included, until it has ended.
    pub held: String,
    /// `open` or `ended`; the statement shows what came of it.
    pub state: String,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// Since when.
    pub at: String,
}

/// Withdrawals, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WithdrawalList {
    /// They.
    pub withdrawals: Vec<WithdrawalView>,
}

/// What one function used in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasUsageLine {
    /// When the hour began, UTC.
    pub hour: String,
    /// Which function.
    pub function: String,
    /// Runs that were charged; a retry is one more.
    pub invocations: u64,
    /// Their units.
    pub units: u64,
    /// What they cost, in GAS.
    pub amount: String,
}

/// What a project used, in order of hour and function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GasUsage {
    /// Whose.
    pub project: String,
    /// From this hour on.
    pub from: String,
    /// Before this one.
    pub until: String,
    /// The lines.
    pub lines: Vec<GasUsageLine>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A deposit that named nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuspenseView {
    /// Its name.
    pub id: String,
    /// When it came in.
    pub at: String,
    /// How much.
    pub amount: String,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// What it said instead of a memo of ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memo: Option<String>,
    /// In which transaction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction: Option<String>,
    /// The project that it was given to since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub given_to: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub given_at: Option<String>,
}

/// Deposits that named nobody, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuspenseList {
    /// They.
    pub deposits: Vec<SuspenseView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Body of POST `/api/v1/suspense`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttributeRequest {
    /// Which deposit.
    pub deposit: String,
    /// Whose it is.
    pub project: String,
}

/// Body of POST `/api/v1/gas/{project}/close`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// Where the project's own money goes; needed when there is some.
    #[serde(default)]
    pub to: Option<String>,
}

/// An account that was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CloseView {
    /// Credit that went back to the operator.
    pub reclaimed: String,
    /// The project's own money, on its way; absent: there was none, or too little to send.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub withdrawal: Option<WithdrawalView>,
    /// What stays: set aside for what is under way, or less than it costs to send.
    pub left: String,
}

/// What the operator agreed with a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefillView {
    /// Credit when less than this can be spent, at most once an hour; null: none.
    #[serde(default)]
    pub below: Option<String>,
    /// Up to this.
    #[serde(default)]
    pub to: Option<String>,
    /// Whether the operator pays the fees of the transactions that its functions send.
    #[serde(default)]
    pub sponsored: bool,
    /// The most of one withdrawal; null: what there is.
    #[serde(default)]
    pub withdrawal_max: Option<String>,
    /// Contracts of tokens, beside GAS, that the project's transactions may move out of the platform's account.
    #[serde(default)]
    pub tokens: Vec<String>,
}

/// The ledger against the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileView {
    /// Whether every rule of the ledger holds, and it agrees with the chain.
    pub sound: bool,
    /// Sum of all accounts: 0.
    pub sum: String,
    /// Transfers ever.
    pub transfers: u64,
    /// What the chain says; absent without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chain: Option<ChainSide>,
}

/// Body of POST `/api/v1/gas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOffRequest {
    /// What is in transit is written off once for this name.
    pub name: String,
}

/// What was written off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriteOffView {
    /// Negative: the operator bears it.
    pub amount: String,
}

/// What the chain says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainSide {
    /// At this height.
    pub height: u64,
    /// The next block that the ledger reads; they can be compared when it is the one after `height`.
    pub next: u64,
    /// What the treasury has on chain.
    pub chain: String,
    /// What it has by the ledger.
    pub ledger: String,
    /// GAS that left and belongs to no payment (negative), or that a payment counts and no block shows.
    pub transit: String,
    /// Payments that have not ended.
    pub open: u32,
}
