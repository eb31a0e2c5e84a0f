//! What an expression may ask of an event besides its parameters.

use super::value::Type;
use crate::spec::TriggerKind;

macro_rules! fields {
    ($($variant:ident, $path:literal, $ty:ident, [$($kind:ident)*], $about:literal;)*) => {
        /// A field of an event, by the name that expressions use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $(#[doc = $about] $variant,)*
        }
        impl Field {
            /// Every field.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];
            /// As it is written: `tx.sender`.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Field::$variant => $path,)* }
            }
            /// What it holds.
            #[must_use]
            pub const fn value_type(self) -> Type {
                match self { $(Field::$variant => Type::$ty,)* }
            }
            /// One line about it.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Field::$variant => $about,)* }
            }
            /// Which kinds of triggers have it.
            #[must_use]
            pub const fn kinds(self) -> &'static [TriggerKind] {
                match self { $(Field::$variant => &[$(TriggerKind::$kind,)*],)* }
            }
        }
    };
}

fields! {
    BlockHeight, "block.height", Int, [Block Transaction Notification Execution], "Height of the block.";
    BlockHash, "block.hash", Hash256, [Block Transaction Notification Execution], "Hash of the block.";
    BlockTime, "block.time", Int, [Block Transaction Notification Execution], "Time of the block in milliseconds since 1970.";
    BlockTransactions, "block.transactions", Int, [Block Transaction Notification Execution], "How many transactions the block has.";
    TxHash, "tx.hash", Hash256, [Transaction Notification Execution], "Hash of the transaction; null for what the block itself does.";
    TxIndex, "tx.index", Int, [Transaction Notification Execution], "Position of the transaction in its block, from 0.";
    TxSender, "tx.sender", Hash160, [Transaction Notification Execution], "Account that pays the fees: the first signer.";
    TxSigners, "tx.signers", Array, [Transaction Notification Execution], "Accounts that signed.";
    TxCalls, "tx.calls", Array, [Transaction Notification Execution], "Contracts that the script calls by itself.";
    TxSystemFee, "tx.system_fee", Int, [Transaction Notification Execution], "System fee in datoshi (10^-8 GAS).";
    TxNetworkFee, "tx.network_fee", Int, [Transaction Notification Execution], "Network fee in datoshi (10^-8 GAS).";
    State, "state", Text, [Transaction Notification Execution], "How the execution ended: 'HALT' or 'FAULT'.";
    GasConsumed, "gas_consumed", Int, [Transaction Notification Execution], "What the execution cost, in datoshi (10^-8 GAS).";
    Exception, "exception", Text, [Transaction Execution], "Why the execution faulted; null when it did not.";
    Result, "result", Array, [Transaction Execution], "What the execution left on its stack.";
    Contract, "contract", Hash160, [Notification], "Contract that notified.";
    EventName, "event", Text, [Notification], "Name of the notification.";
    Args, "args", Array, [Notification], "All parameters by position.";
    Id, "id", Text, [Event], "Id of the event.";
    Type, "type", Text, [Event], "Type of the event.";
    Source, "source", Text, [Event], "Source of the event.";
    Subject, "subject", Text, [Event], "Subject of the event, or null.";
    Time, "time", Text, [Event], "Time of the event (RFC 3339), or null.";
    Extensions, "extensions", Map, [Event], "Extension attributes of the event.";
    Data, "data", Any, [Event], "Data of the event.";
}

impl Field {
    /// The field of `kind` that is written `path`.
    #[must_use]
    pub fn find(kind: TriggerKind, path: &str) -> Option<Self> {
        Self::of(kind).find(|f| f.path() == path)
    }
    /// The fields of `kind`.
    pub fn of(kind: TriggerKind) -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(move |f| f.kinds().contains(&kind))
    }
    /// Whether `word` is the first part of a field's path, like `tx`.
    #[must_use]
    pub fn is_namespace(kind: TriggerKind, word: &str) -> bool {
        Self::of(kind).any(|f| f.path().split_once('.').is_some_and(|(first, _)| first == word))
    }
}
