//! What several tests share: people with wallets of neon-js, and servers of our own that functions call.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod people;
pub mod server;
