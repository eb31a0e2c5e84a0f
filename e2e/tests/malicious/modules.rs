//! WebAssembly modules that mean harm.

use super::{fails_with, http, still_well};
use neofn_testkit::Answer;
use serde_json::json;

/// Hand-assembled modules: magic, version, then sections of (id, size, content).
fn module(sections: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for section in sections {
        bytes.extend_from_slice(section);
    }
    bytes
}

fn deploy_module(name: &str, bytes: &[u8]) -> Answer {
    http().deploy_with(
        "demo",
        json!({"function_name": name, "runtime": "wasm", "module": base64(bytes),
        "limits": {"units": 5_000_000, "time": "30s"}}),
    )
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |acc, b| (acc << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[sextet as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[test]
fn hostile_modules_are_refused() {
    // one type () -> (), one function, exported as _start
    let types: &[u8] = &[1, 4, 1, 0x60, 0, 0];
    let functions: &[u8] = &[3, 2, 1, 0];
    let export: &[u8] = &[7, 10, 1, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0];
    let empty: &[u8] = &[10, 4, 1, 2, 0, 0x0b];

    let answer = deploy_module("garbage", b"not a module at all");
    fails_with(&answer, 422, "NF0117");
    // 32 768 pages: 2 GiB
    let memory: &[u8] = &[5, 5, 1, 0, 0x80, 0x80, 2];
    fails_with(
        &deploy_module("twogib", &module(&[types, functions, memory, export, empty])),
        422,
        "NF0119",
    );
    // an import of env.host
    let import: &[u8] = &[2, 12, 1, 3, b'e', b'n', b'v', 4, b'h', b'o', b's', b't', 0, 0];
    let export1: &[u8] = &[7, 10, 1, 6, b'_', b's', b't', b'a', b'r', b't', 0, 1];
    fails_with(
        &deploy_module("import", &module(&[types, import, functions, export1, empty])),
        422,
        "NF0118",
    );
    still_well();
}

#[test]
fn modules_that_loop_are_stopped() {
    let types: &[u8] = &[1, 4, 1, 0x60, 0, 0];
    let functions: &[u8] = &[3, 2, 1, 0];
    let memory: &[u8] = &[5, 3, 1, 0, 1];
    let exports: &[u8] = &[
        7, 19, 2, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0, 6, b'm', b'e', b'm', b'o', b'r', b'y', 2, 0,
    ];
    // loop br 0 end end
    let body: &[u8] = &[10, 9, 1, 7, 0, 3, 0x40, 0x0c, 0, 0x0b, 0x0b];
    let answer = deploy_module("wloop", &module(&[types, functions, memory, exports, body]));
    assert_eq!(answer.status, 201, "{answer:?}");
    fails_with(&http().invoke("demo", "wloop", &json!(null)), 500, "NF0203");
    // the same loop as the module's start function
    let start: &[u8] = &[8, 1, 0];
    let answer = deploy_module(
        "wstart",
        &module(&[types, functions, memory, exports, start, body]),
    );
    if answer.status == 201 {
        fails_with(&http().invoke("demo", "wstart", &json!(null)), 500, "NF0203");
    } else {
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    still_well();
}
