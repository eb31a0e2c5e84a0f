//! What an account may be used for. Decided by the operator, kept in the signer's journal.

use super::calls::{self, Call, Literal};
use super::wire::{Asked, SignRequest};
use crate::tx::{Scope, Transaction};
use neofn_types::{Datoshi, ScriptHash};
use serde::{Deserialize, Serialize};

/// Methods by which tokens leave an account, or are put into another one's hands.
const GIVING: [&str; 3] = ["transfer", "transferFrom", "approve"];
/// Rules that one list has at most.
pub(super) const RULES_MAX: usize = 256;

/// The policy of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningPolicy {
    /// Fees and GAS given away by one transaction.
    pub per_transaction: Datoshi,
    /// The same, of all transactions of the last 24 hours.
    pub per_day: Datoshi,
    /// What may be called.
    pub calls: Calls,
    /// The widest scope.
    pub scope: Scope,
    /// The only network, by its number; none: any.
    pub network: Option<u32>,
}

/// What may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calls {
    /// Everything, also scripts that are more than calls. Whoever may have transactions sent can then give away all
    /// tokens of the account but GAS, which alone is counted.
    Any,
    /// Everything but the NEO contract and what gives tokens other than GAS away, in scripts that are nothing but calls.
    NoTransfers,
    /// Only this, in scripts that are nothing but calls with literal arguments.
    Only(Vec<MethodRule>),
}

/// A contract, or some of its methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodRule {
    /// Which contract.
    pub contract: ScriptHash,
    /// Which methods; none: all of them.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
}

impl Default for SigningPolicy {
    /// 1 GAS a transaction, 10 GAS a day, any call that gives away no token but GAS, witnesses that count in the called contract alone.
    fn default() -> Self {
        Self {
            per_transaction: Datoshi(100_000_000),
            per_day: Datoshi(1_000_000_000),
            calls: Calls::NoTransfers,
            scope: Scope::CalledByEntry,
            network: None,
        }
    }
}
impl SigningPolicy {
    /// What an account may that has none: nothing.
    pub(super) fn nothing() -> Self {
        Self {
            per_transaction: Datoshi::ZERO,
            per_day: Datoshi::ZERO,
            calls: Calls::Only(Vec::new()),
            scope: Scope::None,
            network: None,
        }
    }
}

/// What the policy found in a transaction that it allows.
#[derive(Debug)]
pub(super) struct Allowed {
    /// Fees and GAS given away.
    pub(super) spend: Datoshi,
    /// What is called; none where it cannot be told.
    pub(super) calls: Option<Vec<String>>,
}

impl SigningPolicy {
    /// Whether one may sign; `spent` is what went in the last 24 hours. The error is the reason.
    pub(super) fn judge(
        &self,
        request: &SignRequest,
        transaction: &Transaction,
        spent: Datoshi,
    ) -> Result<Allowed, String> {
        if let Some(network) = self.network
            && network != request.network
        {
            return Err(format!("it signs for network {network}, not {}", request.network));
        }
        self.judge_scope(request, transaction)?;
        let calls = calls::calls(&transaction.script);
        self.judge_calls(calls.as_deref())?;
        let too_large = || "the amounts do not fit".to_owned();
        let mut spend = Datoshi::ZERO;
        if transaction.sender() == Some(request.account) {
            spend = transaction.fees().ok_or_else(too_large)?;
            if spend > request.asked.fee_max {
                return Err(format!(
                    "fees of {spend} GAS are more than the {} GAS that were asked for",
                    request.asked.fee_max
                ));
            }
        }
        for given in calls
            .iter()
            .flatten()
            .filter_map(|c| given_away(c, request.account))
        {
            spend = spend.checked_add(given?).ok_or_else(too_large)?;
        }
        if spend > self.per_transaction {
            return Err(format!(
                "{spend} GAS are more than the {} GAS that one transaction may cost",
                self.per_transaction
            ));
        }
        let day = spent.checked_add(spend).ok_or_else(too_large)?;
        if day > self.per_day {
            return Err(format!(
                "{spend} GAS more would be {day} GAS within 24 hours; {} GAS are allowed",
                self.per_day
            ));
        }
        Ok(Allowed {
            spend,
            calls: calls.map(|c| {
                c.iter()
                    .map(|c| format!("{}::{}", c.contract, c.method))
                    .collect()
            }),
        })
    }

    fn judge_scope(&self, request: &SignRequest, transaction: &Transaction) -> Result<(), String> {
        let Asked { scope: asked, .. } = &request.asked;
        let signer = transaction
            .signers
            .iter()
            .find(|s| s.account == request.account)
            .ok_or_else(|| "the transaction does not name the account".to_owned())?;
        for (bound, whose) in [(asked, "was asked for"), (&self.scope, "the policy allows")] {
            if !signer.scope.within(bound) {
                return Err(format!(
                    "scope {} is wider than {bound}, which {whose}",
                    signer.scope
                ));
            }
        }
        Ok(())
    }

    fn judge_calls(&self, calls: Option<&[Call]>) -> Result<(), String> {
        if self.calls == Calls::Any {
            return Ok(());
        }
        let calls = calls.ok_or_else(|| {
            "the script is more than calls with literal arguments, and the policy does not allow everything".to_owned()
        })?;
        let Calls::Only(rules) = &self.calls else {
            let gives = |call: &&Call| call.contract == ScriptHash::NEO || gives_away(call);
            return calls.iter().find(gives).map_or(Ok(()), |call| {
                Err(format!(
                    "method {:?} of contract {} can give tokens away, and the policy does not list it",
                    call.method, call.contract
                ))
            });
        };
        let listed = |call: &Call| {
            rules.iter().any(|rule| {
                rule.contract == call.contract
                    && rule
                        .methods
                        .as_ref()
                        .is_none_or(|methods| methods.contains(&call.method))
            })
        };
        match calls.iter().find(|call| !listed(call)) {
            Some(call) => Err(format!(
                "the policy does not list method {:?} of contract {}",
                call.method.chars().take(64).collect::<String>(),
                call.contract
            )),
            None => Ok(()),
        }
    }
}

/// Whether a call can give tokens other than GAS away, or put them into another one's hands.
pub(crate) fn gives_away(call: &Call) -> bool {
    call.contract != ScriptHash::GAS && GIVING.contains(&call.method.as_str())
}

/// The GAS that a call takes from `account` by a transfer; none when it is another call.
fn given_away(call: &Call, account: ScriptHash) -> Option<Result<Datoshi, String>> {
    if call.contract != ScriptHash::GAS || call.method != "transfer" {
        return None;
    }
    match call.arguments.as_slice() {
        [Literal::Bytes(from), _, Literal::Integer(amount), ..] => {
            (from.as_slice() == account.0).then(|| {
                i64::try_from(amount)
                    .map(|n| Datoshi(n.max(0)))
                    .map_err(|_| "the amount of a transfer does not fit".to_owned())
            })
        }
        _ => Some(Err("the amount of a transfer of GAS is not plain".to_owned())),
    }
}
