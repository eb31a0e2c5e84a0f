//! What a transaction would take out of the accounts that are held here, as far as it is known before it is signed: what
//! the dry run says, and what its plain calls ask for, whichever is more. Knows nobody who would bear it.

use super::record::Request;
use crate::model::Notification;
use crate::signer::{Call, Literal, calls, gives_away};
use neofn_types::ScriptHash;
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tokens that would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Which token.
    pub token: ScriptHash,
    /// From which account that is held here.
    pub from: ScriptHash,
    /// To whom; none: it is burnt, or only put into somebody's hands.
    pub to: Option<ScriptHash>,
    /// How much, in the token's smallest unit; what does not fit is the most that fits.
    pub amount: i64,
}

type Sums = BTreeMap<(ScriptHash, ScriptHash, Option<ScriptHash>), BigInt>;

/// All of it. A transfer that the dry run found nothing to move for may find it when it runs on chain, so that what a
/// script asks for in plain words counts as well.
pub(super) fn leaving(request: &Request, said: &[Notification]) -> Vec<Leaving> {
    let held = held(request);
    let mut all = tried(&held, said);
    for (key, asked) in asked_for(&held, &request.script) {
        let sum = all.entry(key).or_default();
        if *sum < asked {
            *sum = asked;
        }
    }
    let some = all.into_iter().filter(|(_, amount)| *amount > BigInt::ZERO);
    some.map(|((token, from, to), amount)| Leaving {
        token,
        from,
        to,
        amount: i64::try_from(amount).unwrap_or(i64::MAX),
    })
    .collect()
}

/// The signers that are held here.
fn held(request: &Request) -> BTreeSet<ScriptHash> {
    let ours = request.signers.iter().filter(|s| s.verification.is_none());
    ours.map(|s| s.account).collect()
}

/// What contracts said. One that lies speaks of its own token alone.
fn tried(held: &BTreeSet<ScriptHash>, said: &[Notification]) -> Sums {
    let mut sums = Sums::new();
    for one in said.iter().filter(|n| n.name == "Transfer") {
        let [from, to, amount, ..] = one.state.as_slice() else {
            continue;
        };
        let (Some(from), Some(amount)) = (from.to_script_hash(), amount.to_integer()) else {
            continue;
        };
        if held.contains(&from) && amount > BigInt::ZERO && to.to_script_hash() != Some(from) {
            *sums.entry((one.contract, from, to.to_script_hash())).or_default() += amount;
        }
    }
    sums
}

fn asked_for(held: &BTreeSet<ScriptHash>, script: &[u8]) -> Sums {
    let mut sums = Sums::new();
    for call in calls(script).unwrap_or_default() {
        if call.contract != ScriptHash::GAS {
            // also what puts tokens into another one's hands, and what has other arguments than fungible tokens
            if let Some(from) = held.first().filter(|_| gives_away(&call)) {
                *sums.entry((call.contract, *from, None)).or_default() += BigInt::from(1);
            }
            continue;
        }
        if let Some((from, to, amount)) = gas_transfer(&call)
            && from != to
            && held.contains(&from)
        {
            *sums.entry((ScriptHash::GAS, from, Some(to))).or_default() += amount.max(&BigInt::ZERO);
        }
    }
    sums
}

/// From whom, to whom and how much.
fn gas_transfer(call: &Call) -> Option<(ScriptHash, ScriptHash, &BigInt)> {
    let [
        Literal::Bytes(from),
        Literal::Bytes(to),
        Literal::Integer(amount),
        ..,
    ] = call.arguments.as_slice()
    else {
        return None;
    };
    let account = |bytes: &[u8]| bytes.try_into().ok().map(ScriptHash);
    let is = call.contract == ScriptHash::GAS && call.method == "transfer";
    is.then_some((account(from)?, account(to)?, amount))
}

/// Whether an account that is held here would give GAS to itself with data. That moves nothing; the data is said in the account's
/// name.
pub(super) fn speaks(request: &Request) -> bool {
    let held = held(request);
    let calls = calls(&request.script).unwrap_or_default();
    let data = |call: &&Call| call.arguments.get(3).is_some_and(|data| *data != Literal::Other);
    let mut transfers = calls.iter().filter(data).filter_map(gas_transfer);
    transfers.any(|(from, to, _)| from == to && held.contains(&from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::RequestSigner;
    use crate::script::{CallFlags, ScriptBuilder};
    use crate::stack::StackItem;
    use crate::tx::Scope;
    use neofn_types::Digest;

    const GAS: ScriptHash = ScriptHash::GAS;
    const OURS: ScriptHash = ScriptHash([1; 20]);
    const THEIRS: ScriptHash = ScriptHash([2; 20]);
    const TOKEN: ScriptHash = ScriptHash([3; 20]);

    fn bytes(h: ScriptHash) -> StackItem {
        StackItem::ByteString(h.0.to_vec())
    }
    fn request(contract: ScriptHash, method: &str, arguments: &[StackItem]) -> Request {
        let mut script = ScriptBuilder::new();
        script.call(contract, method, CallFlags::All, arguments).unwrap();
        let signer = |account, verification| RequestSigner {
            account,
            scope: Scope::CalledByEntry,
            verification,
        };
        Request {
            signers: vec![signer(OURS, None), signer(THEIRS, Some(vec![0x40]))],
            ..Request::new("shop".parse().unwrap(), Digest::of(b"x"), script.into_bytes())
        }
    }
    fn said(contract: ScriptHash, from: ScriptHash, to: ScriptHash, amount: i64) -> Notification {
        Notification {
            contract,
            name: "Transfer".to_owned(),
            state: vec![bytes(from), bytes(to), StackItem::Integer(amount.into())],
        }
    }
    fn of(token: ScriptHash, to: Option<ScriptHash>, amount: i64) -> Leaving {
        Leaving {
            token,
            from: OURS,
            to,
            amount,
        }
    }

    #[test]
    fn what_the_dry_run_says_and_what_the_script_asks_for_count_once_together() {
        let four = |from, to, amount: i64| {
            [
                bytes(from),
                bytes(to),
                StackItem::Integer(amount.into()),
                StackItem::Null,
            ]
        };
        let pay = request(GAS, "transfer", &four(OURS, THEIRS, 7));
        let whole = [of(GAS, Some(THEIRS), 7)];
        assert_eq!(leaving(&pay, &[said(GAS, OURS, THEIRS, 7)]), whole);
        // the account had too little when it was tried
        assert_eq!(leaving(&pay, &[]), whole);
        let more = [said(GAS, OURS, THEIRS, 7), said(GAS, OURS, THEIRS, 5)];
        assert_eq!(leaving(&pay, &more), [of(GAS, Some(THEIRS), 12)]);
        // to itself, of somebody else's, of nothing
        assert_eq!(leaving(&request(GAS, "transfer", &four(OURS, OURS, 7)), &[]), []);
        assert_eq!(
            leaving(&request(GAS, "transfer", &four(THEIRS, OURS, 7)), &[]),
            []
        );
        assert_eq!(
            leaving(&request(GAS, "transfer", &four(OURS, THEIRS, 0)), &[]),
            []
        );
        let swap = request(TOKEN, "swap", &[]);
        assert_eq!(
            leaving(&swap, &[said(GAS, THEIRS, OURS, 4), said(TOKEN, OURS, OURS, 4)]),
            []
        );
        assert_eq!(
            leaving(&swap, &[said(TOKEN, OURS, THEIRS, 4)]),
            [of(TOKEN, Some(THEIRS), 4)]
        );
        assert_eq!(
            leaving(&swap, &[said(GAS, OURS, THEIRS, 4)]),
            [of(GAS, Some(THEIRS), 4)]
        );
    }

    #[test]
    fn who_gives_to_itself_is_seen() {
        let gives = |token, from, to| {
            let arguments = [bytes(from), bytes(to), StackItem::Integer(0.into()), bytes(OURS)];
            let silent = [&arguments[..3], &[StackItem::Null]].concat();
            assert!(!speaks(&request(token, "transfer", &silent)));
            speaks(&request(token, "transfer", &arguments))
        };
        assert!(gives(GAS, OURS, OURS));
        assert!(!gives(GAS, OURS, THEIRS) && !gives(GAS, THEIRS, THEIRS) && !gives(TOKEN, OURS, OURS));
    }

    #[test]
    fn tokens_that_are_put_into_other_hands_count_as_gone() {
        for method in ["transfer", "approve", "transferFrom"] {
            let request = request(TOKEN, method, &[bytes(THEIRS), StackItem::Integer(1.into())]);
            assert_eq!(leaving(&request, &[]), [of(TOKEN, None, 1)], "{method}");
        }
        assert_eq!(leaving(&request(TOKEN, "balanceOf", &[bytes(OURS)]), &[]), []);
    }
}
