//! Reads on a chain whether the roots of an audit log are there. Asks the chain's nodes alone, never the node whose log it is.

use crate::failure::Failure;
use neofn_chain::model::{FoundTransaction, VmState};
use neofn_chain::pool::{Pool, PoolOptions};
use neofn_chain::port::Chain as _;
use neofn_chain::{ChainError, Refusal};
use neofn_identity::auditlog::Head;
use neofn_node::{SystemClock, anchor_script};
use neofn_types::{Code, Hash256};
use std::fmt::Display;
use std::sync::Arc;

/// An anchor: size, root, transaction, block.
type Anchor = (u64, [u8; 32], Hash256, u64);

/// The address that wrote each anchor, or what is wrong with the first that is not as it is claimed.
pub fn check(urls: &[String], anchors: &[Anchor]) -> Result<Vec<String>, Failure> {
    let runtime = neofn_node::runtime()?;
    runtime.block_on(async {
        let options = PoolOptions::new(urls.to_vec(), Arc::new(SystemClock::new()));
        let pool = Pool::connect(options).await.map_err(unread)?;
        let mut writers = Vec::with_capacity(anchors.len());
        for anchor in anchors {
            let (size, _, tx, _) = anchor;
            let found = match pool.transaction(*tx).await {
                Ok(found) => found,
                Err(e) if e.refusal() == Some(Refusal::UnknownTransaction) => {
                    return Err(broken(*size, *tx, &"the chain does not know it"));
                }
                Err(other) => return Err(unread(other)),
            };
            writers.push(written(anchor, &found).map_err(|why| broken(*size, *tx, &why))?);
        }
        Ok(writers)
    })
}

/// Who wrote exactly this root in exactly that block.
fn written((size, root, _, height): &Anchor, found: &FoundTransaction) -> Result<String, String> {
    let included = found.included.ok_or("it is in no block yet")?;
    if included.height != *height {
        return Err(format!("it is in block {}, not {height}", included.height));
    }
    let ran = found.transaction.executions.first().map(|e| e.state);
    if ran != Some(VmState::Halt) {
        return Err("it did nothing".to_owned());
    }
    let writer = found.transaction.sender;
    let expected = anchor_script(writer, Head::anchor_bytes(*size, root)).map_err(|e| e.to_string())?;
    if found.transaction.script != expected {
        return Err("it does not say this root".to_owned());
    }
    Ok(writer.to_address())
}

fn broken(size: u64, tx: Hash256, why: &dyn Display) -> Failure {
    Failure::new(
        Code::AuditBroken,
        format!("the export claims a root of {size} entries in transaction {tx}: {why}"),
        "",
    )
}

fn unread(error: ChainError) -> Failure {
    Failure::from(neofn_types::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_chain::model::{Execution, ExecutionTrigger, Inclusion, TransactionInfo};
    use neofn_types::{Datoshi, ScriptHash, UnixMillis};

    const WRITER: ScriptHash = ScriptHash([3; 20]);
    const ANCHOR: Anchor = (8, [7; 32], Hash256([1; 32]), 40);

    fn on_chain(bytes: Vec<u8>) -> FoundTransaction {
        let execution = Execution {
            trigger: ExecutionTrigger::Application,
            state: VmState::Halt,
            gas: Datoshi(1),
            exception: None,
            stack: Vec::new(),
            notifications: Vec::new(),
        };
        FoundTransaction {
            transaction: TransactionInfo {
                hash: ANCHOR.2,
                sender: WRITER,
                signers: Vec::new(),
                script: anchor_script(WRITER, bytes).unwrap(),
                system_fee: Datoshi(1),
                network_fee: Datoshi(1),
                valid_until: 100,
                nonce: 1,
                size: 1,
                attributes: Vec::new(),
                executions: vec![execution],
            },
            included: Some(Inclusion {
                height: 40,
                block: Hash256([2; 32]),
                time: UnixMillis(0),
            }),
        }
    }

    #[test]
    fn only_the_very_root_in_the_very_block_is_taken() {
        let good = on_chain(Head::anchor_bytes(8, &[7; 32]));
        assert_eq!(written(&ANCHOR, &good), Ok(WRITER.to_address()));
        let other_root = on_chain(Head::anchor_bytes(8, &[8; 32]));
        let other_size = on_chain(Head::anchor_bytes(9, &[7; 32]));
        let mut waiting = good.clone();
        waiting.included = None;
        let mut elsewhere = good.clone();
        elsewhere.included.as_mut().unwrap().height = 41;
        let mut faulted = good.clone();
        faulted.transaction.executions[0].state = VmState::Fault;
        let mut somebody = good;
        somebody.transaction.sender = ScriptHash([4; 20]);
        for bad in [other_root, other_size, waiting, elsewhere, faulted, somebody] {
            assert!(written(&ANCHOR, &bad).is_err(), "{bad:?}");
        }
    }
}
