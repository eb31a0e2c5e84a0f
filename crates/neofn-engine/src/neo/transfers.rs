//! Transfers from and to an account, read from the blocks themselves: every kind of node can answer that.

use super::{account, bad, contract, refused};
use crate::overlay::Refusal;
use neofn_chain::model::{Block, Execution, Notification, VmState};
use neofn_chain::port::Chain;
use neofn_chain::stack::StackItem;
use neofn_gas::{HostCharge, SCHEDULE_V1};
use neofn_types::{Code, Hash256, ScriptHash};
use serde::Deserialize;
use serde_json::{Value, json};

/// Blocks that are looked through when nobody says how many.
const SPAN_DEFAULT: u64 = 100;
/// Blocks of one answer.
const SPAN_MAX: u64 = 1_000;
/// So many blocks are one read.
const SPAN_PRICED: u64 = 100;
/// Transfers of one answer; the last block is given whole.
const LISTED_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct TransferArgs {
    account: String,
    token: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
}

struct Wanted {
    account: ScriptHash,
    token: Option<ScriptHash>,
}

/// The answer, and what it costs on top of one read.
pub(super) async fn read(
    chain: &dyn Chain,
    a: TransferArgs,
    units_left: u64,
) -> Result<(Value, u64), Refusal> {
    let wanted = Wanted {
        account: account(&a.account)?,
        token: a.token.as_deref().map(contract).transpose()?,
    };
    let head = chain.head().height;
    let to = a.to.unwrap_or(head).min(head);
    let from = a.from.unwrap_or_else(|| to.saturating_sub(SPAN_DEFAULT - 1));
    if from > to {
        return Err(bad(format!("ctx.neo.transfers: from {from} is above to {to}")));
    }
    let to = to.min(from.saturating_add(SPAN_MAX - 1));
    let price = SCHEDULE_V1.host_units(HostCharge::ChainRead, 0);
    let more = price.saturating_mul((to - from) / SPAN_PRICED);
    if more > units_left {
        let message =
            format!("ctx.neo.transfers: blocks {from} to {to} cost {more} units, and {units_left} are left");
        return Err((Code::UnitLimit, message));
    }
    let (mut found, mut next) = (Vec::new(), from);
    while next <= to && found.len() < LISTED_MAX {
        let blocks = chain.blocks(next..to + 1).await.map_err(refused)?;
        if blocks.is_empty() {
            break;
        }
        for block in &blocks {
            wanted.of_block(block, &mut found);
            next = block.height + 1;
            if found.len() >= LISTED_MAX {
                break;
            }
        }
    }
    let answer = json!({ "transfers": found, "from": from, "to": next.saturating_sub(1), "next": next });
    Ok((answer, more))
}

impl Wanted {
    fn of_block(&self, block: &Block, found: &mut Vec<Value>) {
        let own = block.executions.iter().map(|e| (None, e));
        let sent = block
            .transactions
            .iter()
            .flat_map(|t| t.executions.iter().map(move |e| (Some(t.hash), e)));
        for (hash, execution) in own.chain(sent) {
            self.of_execution(block, hash, execution, found);
        }
    }

    fn of_execution(
        &self,
        block: &Block,
        hash: Option<Hash256>,
        execution: &Execution,
        found: &mut Vec<Value>,
    ) {
        if execution.state != VmState::Halt {
            return;
        }
        for said in &execution.notifications {
            if let Some((from, to, amount)) = self.transfer(said) {
                found.push(json!({
                    "height": block.height, "time": block.time.0, "hash": hash, "token": said.contract,
                    "from": from, "to": to, "amount": amount,
                }));
            }
        }
    }

    /// A transfer that the account has a part in.
    fn transfer(&self, said: &Notification) -> Option<(Option<ScriptHash>, Option<ScriptHash>, String)> {
        if said.name != "Transfer" || self.token.is_some_and(|t| t != said.contract) {
            return None;
        }
        let [from, to, amount, ..] = said.state.as_slice() else {
            return None;
        };
        let (from, to) = (party(from)?, party(to)?);
        let part = [from, to].contains(&Some(self.account));
        part.then_some((from, to, amount.to_integer()?.to_string()))
    }
}

/// Nobody, for tokens that are made or burnt; `None` for what is no account at all.
fn party(item: &StackItem) -> Option<Option<ScriptHash>> {
    match item {
        StackItem::Null => Some(None),
        other => other.to_script_hash().map(Some),
    }
}
