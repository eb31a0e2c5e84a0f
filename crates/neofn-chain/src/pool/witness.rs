//! Whether nodes agree on what became of a transaction: a pure decision over what they said. No clock, no network.

use crate::error::ChainError;
use crate::model::{FoundTransaction, VmState};
use neofn_types::{Hash256, ScriptHash};
use num_bigint::BigInt;

/// Nodes whose word is needed where so many answer.
pub(super) const NEEDED: usize = 2;

/// What a block did with it: which block, how it ended, and the GAS that it moved. Nodes of two kinds may write the rest in
/// two ways.
#[derive(PartialEq, Eq)]
struct End {
    block: Hash256,
    height: u64,
    state: VmState,
    moved: Vec<(Option<ScriptHash>, Option<ScriptHash>, Option<BigInt>)>,
}

fn end(found: &FoundTransaction) -> Option<End> {
    let place = found.included?;
    let run = found.transaction.executions.first()?;
    let said = run.notifications.iter();
    let moved = said
        .filter(|n| n.contract == ScriptHash::GAS && n.name == "Transfer")
        .filter_map(|n| match n.state.as_slice() {
            [from, to, amount, ..] => Some((from.to_script_hash(), to.to_script_hash(), amount.to_integer())),
            _ => None,
        })
        .collect();
    Some(End {
        block: place.block,
        height: place.height,
        state: run.state,
        moved,
    })
}

/// What so many nodes say as are needed: `found` is the word of one of them, `said` that of all of them. Nodes that cannot
/// be asked are not waited for. Without agreement the transaction is not in a block yet.
pub(super) fn agreed(
    found: FoundTransaction,
    said: Vec<Result<FoundTransaction, ChainError>>,
) -> FoundTransaction {
    let unasked = |answer: &Result<_, ChainError>| answer.as_ref().is_err_and(ChainError::is_the_nodes_fault);
    let answers: Vec<_> = said.into_iter().filter(|a| !unasked(a)).map(Result::ok).collect();
    // it was told a moment ago, by a node that is gone now
    if answers.is_empty() {
        return found;
    }
    let needed = NEEDED.min(answers.len());
    let ends: Vec<_> = answers.iter().map(|a| a.as_ref().and_then(end)).collect();
    let often =
        |one: &Option<End>| one.is_some() && ends.iter().filter(|other| *other == one).count() >= needed;
    let place = ends.iter().position(often);
    match place.and_then(|at| answers.into_iter().nth(at).flatten()) {
        Some(agreed) => agreed,
        None => {
            tracing::warn!(
                tx = %found.transaction.hash, answers = ends.len(),
                "a node has the transaction in a block, and no other says the same; it is waited for"
            );
            FoundTransaction {
                included: None,
                ..found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;
    use crate::model::{Execution, ExecutionTrigger, Inclusion, Notification, TransactionInfo};
    use crate::stack::StackItem;
    use neofn_types::{Datoshi, UnixMillis};

    fn found(block: u8, state: VmState, moved: i64) -> FoundTransaction {
        let account = |n: u8| StackItem::ByteString(vec![n; 20]);
        let said = Notification {
            contract: ScriptHash::GAS,
            name: "Transfer".to_owned(),
            state: vec![account(1), account(2), StackItem::Integer(moved.into())],
        };
        let run = Execution {
            trigger: ExecutionTrigger::Application,
            state,
            gas: Datoshi(1),
            exception: None,
            stack: Vec::new(),
            notifications: vec![said],
        };
        FoundTransaction {
            transaction: TransactionInfo {
                hash: Hash256([1; 32]),
                sender: ScriptHash([1; 20]),
                signers: Vec::new(),
                script: Vec::new(),
                system_fee: Datoshi(1),
                network_fee: Datoshi(1),
                valid_until: 9,
                nonce: 1,
                size: 1,
                attributes: Vec::new(),
                executions: vec![run],
            },
            included: Some(Inclusion {
                height: 7,
                block: Hash256([block; 32]),
                time: UnixMillis(1),
            }),
        }
    }
    fn halted() -> FoundTransaction {
        found(1, VmState::Halt, 5)
    }
    fn unknown() -> Result<FoundTransaction, ChainError> {
        Err(ChainError::Contract(
            Refusal::UnknownTransaction,
            "unknown".to_owned(),
        ))
    }
    fn gone() -> Result<FoundTransaction, ChainError> {
        Err(ChainError::Unreachable("gone".to_owned()))
    }

    #[test]
    fn two_have_to_say_the_same() {
        let waiting = FoundTransaction {
            included: None,
            ..halted()
        };
        for other in [
            unknown(),
            Ok(waiting),
            Ok(found(2, VmState::Halt, 5)),
            Ok(found(1, VmState::Fault, 5)),
            Ok(found(1, VmState::Halt, 6)),
        ] {
            let said = format!("{other:?}");
            assert_eq!(
                agreed(halted(), vec![Ok(halted()), other]).included,
                None,
                "{said}"
            );
        }
        assert_eq!(agreed(halted(), vec![Ok(halted()), Ok(halted())]), halted());
    }

    #[test]
    fn a_liar_among_three_is_outvoted_even_if_it_was_asked_first() {
        let lie = || found(1, VmState::Fault, 5);
        let said = vec![Ok(lie()), Ok(halted()), Ok(halted())];
        assert_eq!(agreed(lie(), said), halted());
        let said = vec![Ok(lie()), unknown(), Ok(halted())];
        assert_eq!(agreed(lie(), said).included, None);
    }

    #[test]
    fn who_cannot_be_asked_is_not_waited_for() {
        assert_eq!(agreed(halted(), vec![Ok(halted())]), halted());
        assert_eq!(agreed(halted(), vec![gone(), Ok(halted())]), halted());
        assert_eq!(agreed(halted(), vec![gone()]), halted());
        assert_eq!(agreed(halted(), vec![unknown()]).included, None);
    }
}
