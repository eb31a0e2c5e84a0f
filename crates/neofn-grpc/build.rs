//! Generates the service from its definition, without protoc, and the descriptors that reflection answers.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let descriptors = protox::compile(["neofn/v1/functions.proto"], ["proto"])?;
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .build_server(std::env::var_os("CARGO_FEATURE_SERVER").is_some())
        .build_client(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_transport(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        // the messages of events are checked where every other form of them is
        .extern_path(".io.cloudevents.v1", "::neofn_event::cloud::proto")
        // what becomes many times as large in memory is unpacked once its size is known
        .extern_path(
            ".google.protobuf.Struct",
            "crate::packed::Packed<::prost_types::Struct>",
        )
        .extern_path(
            ".google.protobuf.Value",
            "crate::packed::Packed<::prost_types::Value>",
        )
        .compile_fds(descriptors)?;
    Ok(())
}
