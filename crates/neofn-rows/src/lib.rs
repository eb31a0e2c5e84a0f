//! How values are written into rows, whatever database keeps them: the bytes of long columns, the numbers of short
//! ones, and the arithmetic of a key-value commit. Stores of different kinds hold the same bytes, so that rows can be
//! moved from one to another. Knows no database.

mod codec;
mod error;
mod finish;
mod keys;
pub mod kv;
pub mod tables;

pub use codec::{
    DEAD, Detail, DetailRef, FAILED, LIVE, SUCCEEDED, int, nat, nat32, origin, origin_number, pack, status,
    unpack, unpack_detail, unpack_recording,
};
pub use error::RowError;
pub use finish::{Encoded, failure, interrupted, is_rearmed, result, status_of};
pub use keys::{effect_key, first_id_at, joined};
