//! Values that a file writes as flags do: `"30s"`, `"64MiB"`, `"0.5"`. Reads them with the readers of the flags.

use crate::cli::money::{self, PRICE_MAX};
use crate::cli::{block_time, grpc_listen};
use crate::{paying, settings};
use neofn_node::{Cidr, GrpcListen, LogFormat};
use neofn_types::{Datoshi, ScriptHash};
use serde::de::{Deserialize, Deserializer, Error};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

fn text<'de, D: Deserializer<'de>, T>(
    from: D,
    read: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).map(Some).map_err(D::Error::custom)
}

macro_rules! read_as_flags {
    ($($(#[$doc:meta])* $name:ident: $ty:ty = $read:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<$ty>, D::Error> {
            text(from, $read)
        }
    )*};
}

read_as_flags! {
    /// `text` or `json`
    log_format: LogFormat = str::parse;
    /// A time such as `7d`.
    retention: Duration = settings::retention;
    /// A time such as `30s`.
    max_time: Duration = settings::time;
    /// A time such as `24h`.
    queue_age: Duration = settings::queue_age;
    /// A size such as `64MiB`.
    max_memory: u64 = settings::memory;
    /// A size such as `256MiB`.
    kv_bytes: u64 = settings::bytes;
    /// A time such as `1s`, in milliseconds.
    dev_block_time: u64 = block_time;
    /// An amount such as `0.5`.
    gas: Datoshi = paying::amount;
    /// A time such as `24h`.
    anchor: Duration = money::time;
    /// An address or `off`.
    listen_or_off: GrpcListen = grpc_listen;
}

fn texts<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let read = |text: &String| {
        text.parse()
            .map_err(|e| D::Error::custom(format!("`{text}`: {e}")))
    };
    texts.iter().map(read).collect()
}

/// Addresses or script hashes.
pub(super) fn accounts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ScriptHash>, D::Error> {
    texts(from)
}

/// Networks such as `10.1.0.0/16`.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cidr>, D::Error> {
    texts(from)
}

/// Datoshi per million units.
pub(super) fn price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let price = u64::deserialize(from)?;
    if price <= PRICE_MAX {
        return Ok(Some(price));
    }
    Err(D::Error::custom(format!("at most {PRICE_MAX}")))
}

/// Units; too few would not pay for a call that does nothing.
pub(super) fn max_units<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let units = u64::deserialize(from)?;
    if units >= settings::UNITS_MIN {
        return Ok(Some(units));
    }
    Err(D::Error::custom(format!("at least {}", settings::UNITS_MIN)))
}
