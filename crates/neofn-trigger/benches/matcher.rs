//! What a block costs: `cargo bench -p neofn-trigger`. 1 000 triggers, a block of 500 transactions with a transfer each.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use neofn_chain::model::VmState;
use neofn_event::{TriggerId, TriggerSpec, Triggers};
use neofn_trigger::Matcher;
use serde_json::json;
use std::time::Instant;
use support::{NETWORK, account, block, gas, transaction, transfer};

const ROUNDS: usize = 200;

fn many(count: u32) -> Vec<(TriggerId, TriggerSpec)> {
    (0..count)
        .flat_map(|n| {
            let on = match n % 5 {
                // one in five looks at every transfer of GAS
                0 => json!({"notification": {"contract": "GAS", "event": "Transfer",
                    "where": format!("amount == {n} and from == '{}'", account(200).to_address())}}),
                1 => json!({"transaction": {"sender": account(u8::try_from(150 + n % 50).unwrap_or(0))}}),
                2 => json!({"notification": {"contract": account(u8::try_from(n % 200).unwrap_or(0)), "event": "Other"}}),
                3 => json!({"execution": {"state": "fault"}}),
                _ => json!({"block": {"every": 1_000}}),
            };
            let specs = Triggers::read(&on).unwrap_or_default();
            let function = format!("demo/f{n}/");
            specs.0.into_iter().filter_map(move |s| Some((format!("{function}{}", s.name).parse().ok()?, s)))
        })
        .collect()
}

fn main() {
    // `cargo nextest` lists and runs benches as tests too
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    println!("\n### What triggers cost a block\n");
    println!("| {:58} | {:>26} | {:>18} |", "what", "measured", "target");
    println!("|{}|{}|{}|", "-".repeat(60), "-".repeat(28), "-".repeat(20));
    let transactions = |count: u8| {
        (0..count)
            .map(|n| {
                transaction(
                    n,
                    n % 100,
                    gas(),
                    VmState::Halt,
                    vec![transfer(gas(), n % 100, 3, i64::from(n) * 1_000_000)],
                )
            })
            .collect::<Vec<_>>()
    };
    for (triggers, txs) in [
        (100, 1),
        (1_000, 0),
        (1_000, 1),
        (1_000, 20),
        (1_000, 200),
        (5_000, 20),
    ] {
        let (matcher, _) = Matcher::build(NETWORK, many(triggers));
        let block = block(1, transactions(txs));
        let mut times: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(matcher.block(&block));
                start.elapsed()
            })
            .collect();
        times.sort();
        let at = |per_cent: usize| {
            times
                .get(ROUNDS * per_cent / 100)
                .map_or(0.0, |t| t.as_secs_f64() * 1e6)
        };
        let what = format!("{triggers} triggers, a block of {txs} transactions");
        let measured = format!("p50 {:.1} us, p99 {:.1} us", at(50), at(99));
        let target = if triggers == 1_000 { "< 1 ms a block" } else { "" };
        println!("| {what:58} | {measured:>26} | {target:>18} |");
    }
}
