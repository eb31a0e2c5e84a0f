//! The messages and the service of `neofn.v1`, generated from `proto/`.

/// For reflection: this package and all that it imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod generated {
    tonic::include_proto!("neofn.v1");
}

pub use generated::*;
