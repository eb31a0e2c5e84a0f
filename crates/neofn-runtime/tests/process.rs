//! Sandboxes in real, confined child processes: this binary plays the child roles itself, so it has its own main.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; with its own main it is no test to clippy"
)]

#[path = "support/mod.rs"]
mod support;

use async_trait::async_trait;
use libtest_mimic::{Arguments, Trial};
use neofn_runtime::Pool;
use neofn_runtime::port::{Completed, HostCall, HostCalls, HostReply, Layout, PrepareError, Runtime};
use neofn_types::Code;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::{SOURCE, job, pool, prepare, reply};
use tokio::sync::Notify;

fn main() -> ExitCode {
    if let Some(code) = support::child_role() {
        return code;
    }
    let tests = vec![
        test("a_call_is_answered_by_a_confined_child", answers),
        test("a_mebibyte_goes_in_and_comes_out", mebibyte),
        test("endless_loops_do_not_stop_short_calls", loops),
        test(
            "a_killed_child_fails_its_calls_as_retryable_and_is_replaced",
            killed,
        ),
        test("replies_reach_the_function_in_their_order", replies),
        test("a_call_that_waits_too_long_is_timed_out", waits_too_long),
        test("a_call_that_nobody_waits_for_is_cancelled", abandoned),
        test("host_calls_are_bounded", flood),
        test("promotion_changes_neither_result_nor_units", promotion),
        test("memory_stays_as_it_is_over_twenty_thousand_calls", memory),
        test("more_calls_than_may_run_wait_for_their_turn", crowd),
        test("a_hostile_top_level_is_refused_and_hurts_nobody", hostile_prepare),
        test("artifacts_of_another_engine_are_refused", other_engine),
        test("children_end_with_the_pool", end),
        test("an_answer_that_is_too_large_is_its_own_calls_failure", too_large),
        test("a_call_given_up_in_the_middle_leaves_nothing_behind", given_up),
        test("a_version_that_does_not_load_in_time_is_told", loads_too_long),
        test("a_child_that_reads_nothing_any_more_is_replaced", deaf),
        test("what_was_done_for_a_run_is_charged_though_it_did_not_wait", late),
        test("when_memory_is_short_the_largest_run_ends", largest),
        test("a_users_module_is_compiled_and_run_in_children", wasm),
        test("a_damaged_engine_cache_is_built_again", damaged_cache),
        test(
            "a_child_above_its_memory_bound_is_replaced_without_losing_a_call",
            watchdog,
        ),
    ];
    // each test starts processes of its own and measures them
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    libtest_mimic::run(&args, tests).exit_code()
}

fn test<F: Future<Output = ()> + Send + 'static>(name: &'static str, body: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let rt = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        rt.block_on(async {
            tokio::time::timeout(Duration::from_secs(180), tokio::spawn(body()))
                .await
                .map_err(|_| "took longer than three minutes")?
                .map_err(|e| e.to_string())
        })?;
        Ok(())
    })
}

fn text(c: &Completed) -> String {
    match &c.outcome {
        Ok(b) => String::from_utf8_lossy(b).into_owned(),
        Err(f) => format!("{}: {}", f.code, f.message),
    }
}
fn code(c: &Completed) -> Option<Code> {
    c.outcome.as_ref().err().map(|f| f.code)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(in_time.is_ok(), "never: {what}");
}

async fn answers() {
    let pool = pool(1).await;
    assert!(
        ["namespaces", "landlock"].contains(&pool.tier()),
        "{}",
        pool.tier()
    );
    let a = prepare(&pool, SOURCE).await;
    for _ in 0..5 {
        let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
        assert_eq!(
            text(&done),
            r#"{"greeting":"Hello, Neo","length":14,"counter":1}"#
        );
        assert!(done.units.total > 10_000 && done.fuel > 0);
    }
    assert_eq!(pool.status().children, 1);
}

async fn mebibyte() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let name = "n".repeat((1 << 20) - 24);
    let done = pool
        .invoke(job(&a, format!(r#"{{"name":"Neo","pad":"{name}"}}"#)))
        .await;
    assert!(
        text(&done).contains(&format!("\"length\":{}", name.len() + 23)),
        "{:.100}",
        text(&done)
    );
    let done = pool.invoke(job(&a, r#"{"size":1048000}"#)).await;
    assert_eq!(text(&done), format!("\"{}\"", "x".repeat(1_048_000)));
    let done = pool.invoke(job(&a, r#"{"size":1048576}"#)).await;
    assert_eq!(code(&done), Some(Code::ResultTooLarge));
}

async fn loops() {
    let pool = Arc::new(pool(1).await);
    let a = prepare(&pool, SOURCE).await;
    let mut endless = Vec::new();
    for _ in 0..2 {
        let (pool, a) = (Arc::clone(&pool), Arc::clone(&a));
        endless.push(tokio::spawn(async move {
            let mut j = job(&a, r#"{"spin":true}"#);
            j.time = Duration::from_secs(3);
            j.units = u64::MAX / 2_000;
            pool.invoke(j).await
        }));
    }
    let clock = support::clock();
    let begun = clock.monotonic();
    let mut slowest = Duration::ZERO;
    let mut n = 0;
    while clock.monotonic() - begun < Duration::from_secs(2) {
        let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
        assert!(done.outcome.is_ok(), "{}", text(&done));
        slowest = slowest.max(done.duration);
        n += 1;
    }
    assert!(
        n >= 50,
        "{n} short calls in two seconds beside two endless ones, the slowest {slowest:?}"
    );
    for e in endless {
        let done = e.await.unwrap();
        assert_eq!(code(&done), Some(Code::TimedOut), "{}", text(&done));
        assert!(
            done.units.total > 10_000,
            "a stopped run is charged: {:?}",
            done.units
        );
    }
    assert_eq!(pool.status().restarts, 0);
}

/// Answers when told to.
#[derive(Default)]
struct Gate {
    asked: AtomicU32,
    open: Notify,
}

#[async_trait]
impl HostCalls for Gate {
    async fn call(&self, _: HostCall) -> HostReply {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.open.notified().await;
        reply()
    }
}

async fn killed() {
    let pool = Arc::new(pool(1).await);
    let a = prepare(&pool, SOURCE).await;
    let gate = Arc::new(Gate::default());
    let mut under_way = Vec::new();
    for event in [r#"{"get":1}"#, r#"{"get":2}"#, r#"{"get":3}"#] {
        let mut j = job(&a, event);
        j.host = Arc::clone(&gate) as Arc<dyn HostCalls>;
        let pool = Arc::clone(&pool);
        under_way.push(tokio::spawn(async move { pool.invoke(j).await }));
    }
    until("six host calls", || gate.asked.load(Ordering::SeqCst) == 6).await;
    let victim = pool.children();
    assert_eq!(victim.len(), 1);
    kill(victim[0]);
    for call in under_way {
        let done = call.await.unwrap();
        assert_eq!(code(&done), Some(Code::SandboxLost), "{}", text(&done));
    }
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert_ne!(pool.children(), victim);
    assert_eq!(pool.status().restarts, 1);
}

fn kill(pid: u32) {
    signal(pid, "-9");
}

/// To a process and all that it has started: a child runs below the one that confines it.
fn signal_all(pid: u32, with: &str) {
    let below = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for child in below.split_whitespace() {
        signal_all(child.parse().unwrap(), with);
    }
    signal(pid, with);
}

fn signal(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill")
        .arg(signal)
        .arg(pid.to_string())
        .status();
    assert!(status.is_ok_and(|s| s.success()));
}

/// Answers the last call first.
struct Backwards {
    left: tokio::sync::watch::Sender<u32>,
}

#[async_trait]
impl HostCalls for Backwards {
    async fn call(&self, call: HostCall) -> HostReply {
        let mut left = self.left.subscribe();
        left.wait_for(|n| *n == call.seq + 1).await.expect("sender lives");
        self.left.send_replace(call.seq);
        reply()
    }
}

async fn replies() {
    let pool = pool(2).await;
    let a = prepare(&pool, SOURCE).await;
    for n in [1u32, 2, 30, 200] {
        let mut j = job(&a, format!(r#"{{"get":{n}}}"#));
        j.host = Arc::new(Backwards {
            left: tokio::sync::watch::channel(n).0,
        });
        let done = pool.invoke(j).await;
        let wanted: Vec<u32> = (0..n).rev().collect();
        assert_eq!(text(&done), serde_json::to_string(&wanted).unwrap());
    }
}

async fn waits_too_long() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let gate = Arc::new(Gate::default());
    let mut j = job(&a, r#"{"get":1}"#);
    j.time = Duration::from_millis(300);
    j.host = gate;
    let done = pool.invoke(j).await;
    assert_eq!(code(&done), Some(Code::TimedOut), "{}", text(&done));
    assert!(done.duration < Duration::from_secs(2), "{:?}", done.duration);
    assert!(done.units.total >= 10_000, "{:?}", done.units);
    let mut j = job(&a, r#"{"spin":true}"#);
    j.time = Duration::from_millis(300);
    j.units = u64::MAX / 2_000;
    let done = pool.invoke(j).await;
    assert_eq!(code(&done), Some(Code::TimedOut), "{}", text(&done));
    assert!(done.duration < Duration::from_secs(2), "{:?}", done.duration);
    assert_eq!(pool.status().restarts, 0);
}

async fn abandoned() {
    let mut o = support::options(1);
    o.running_max = 1;
    let pool = Arc::new(support::start(o).await);
    let a = prepare(&pool, SOURCE).await;
    // one that runs: with room for one call only, the next one is answered only after this one was stopped
    let mut j = job(&a, r#"{"spin":true}"#);
    j.units = u64::MAX / 2_000;
    let dropped = tokio::time::timeout(Duration::from_millis(200), pool.invoke(j)).await;
    assert!(dropped.is_err());
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert!(done.duration < Duration::from_secs(5), "{:?}", done.duration);
    // one that is given up while it runs, and not dropped: it answers what it used
    let mut j = job(&a, r#"{"get":1,"spin":true}"#);
    j.units = u64::MAX / 2_000;
    let gate = Arc::new(Gate::default());
    j.host = Arc::clone(&gate) as Arc<dyn HostCalls>;
    let given_up = j.given_up.clone();
    let call = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.invoke(j).await }
    });
    until("its host call", || gate.asked.load(Ordering::SeqCst) == 1).await;
    gate.open.notify_one();
    given_up.cancel();
    let done = tokio::time::timeout(Duration::from_secs(10), call).await;
    let done = done.expect("it ends").expect("no panic");
    assert_eq!(done.outcome.expect_err("ended early").code, Code::TimedOut);
    assert!(done.units.total >= 10_000, "{:?}", done.units);
    // one that waits: its host calls are dropped
    struct Noted(Arc<Gate>, Arc<()>);
    #[async_trait]
    impl HostCalls for Noted {
        async fn call(&self, call: HostCall) -> HostReply {
            let _held = Arc::clone(&self.1);
            self.0.call(call).await
        }
    }
    let (gate, held) = (Arc::new(Gate::default()), Arc::new(()));
    let mut j = job(&a, r#"{"get":3}"#);
    j.host = Arc::new(Noted(Arc::clone(&gate), Arc::clone(&held)));
    let call = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.invoke(j).await }
    });
    until("three host calls", || gate.asked.load(Ordering::SeqCst) == 3).await;
    call.abort();
    until("host calls dropped", || Arc::strong_count(&held) == 1).await;
    assert_eq!(pool.status().restarts, 0);
}

async fn flood() {
    struct Count(AtomicU32);
    #[async_trait]
    impl HostCalls for Count {
        async fn call(&self, _: HostCall) -> HostReply {
            self.0.fetch_add(1, Ordering::SeqCst);
            reply()
        }
    }
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let count = Arc::new(Count(AtomicU32::new(0)));
    let mut j = job(&a, r#"{"get":1000}"#);
    j.host = Arc::clone(&count) as Arc<dyn HostCalls>;
    let done = pool.invoke(j).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert_eq!(count.0.swap(0, Ordering::SeqCst), 1_000);
    let mut j = job(&a, r#"{"get":1001}"#);
    j.host = Arc::clone(&count) as Arc<dyn HostCalls>;
    let done = pool.invoke(j).await;
    assert!(done.outcome.is_err(), "{}", text(&done));
    assert!(count.0.load(Ordering::SeqCst) <= 1_000);
    assert_eq!(pool.status().restarts, 0);
}

async fn promotion() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let event = r#"{"work":1000}"#;
    let cold = pool.invoke(job(&a, event)).await;
    assert_eq!(cold.layout, Layout::D3);
    let mut hot = 0;
    for _ in 0..2_000 {
        let done = pool.invoke(job(&a, event)).await;
        assert_eq!(
            (text(&done), done.units, done.fuel),
            (text(&cold), cold.units, cold.fuel)
        );
        hot += u32::from(done.layout == Layout::R1cow);
        if hot > 50 {
            break;
        }
    }
    assert!(hot > 50, "never served by a live instance");
    assert_eq!(pool.status().hot_versions, 1);
    assert_eq!(pool.status().hot_calls, u64::from(hot));
}

async fn many(pool: &Arc<Pool>, a: &Arc<neofn_runtime::port::Artifact>, each: u32) {
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (pool, a) = (Arc::clone(pool), Arc::clone(a));
        tasks.push(tokio::spawn(async move {
            for _ in 0..each {
                let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
                assert!(done.outcome.is_ok(), "{}", text(&done));
            }
        }));
    }
    for t in tasks {
        t.await.unwrap();
    }
}

async fn memory() {
    let pool = Arc::new(pool(2).await);
    let a = prepare(&pool, SOURCE).await;
    let resident = || -> u64 {
        let pids = pool.children();
        pids.iter().filter_map(|p| neofn_jail::resident_bytes(*p)).sum()
    };
    many(&pool, &a, 250).await;
    let before = resident();
    many(&pool, &a, 1_250).await;
    let after = resident();
    let more = after.saturating_sub(before);
    assert!(
        more < 32 << 20,
        "{before} bytes before, {after} after 20 000 calls"
    );
    assert_eq!(pool.status().restarts, 0);
}

async fn crowd() {
    let pool = Arc::new(pool(1).await);
    let a = prepare(&pool, SOURCE).await;
    let mut calls = Vec::new();
    for _ in 0..300 {
        let (pool, a) = (Arc::clone(&pool), Arc::clone(&a));
        calls.push(tokio::spawn(async move {
            pool.invoke(job(&a, r#"{"work":20000}"#)).await
        }));
    }
    for c in calls {
        let done = c.await.unwrap();
        assert!(done.outcome.is_ok(), "{}", text(&done));
    }
    // hundreds of calls that wait hold nobody up
    let gate = Arc::new(Gate::default());
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut j = job(&a, r#"{"get":1}"#);
        j.host = Arc::clone(&gate) as Arc<dyn HostCalls>;
        let pool = Arc::clone(&pool);
        waiting.push(tokio::spawn(async move { pool.invoke(j).await }));
    }
    until("200 calls wait", || gate.asked.load(Ordering::SeqCst) == 200).await;
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    for w in waiting {
        gate.open.notify_one();
        gate.open.notify_waiters();
        let done = w.await.unwrap();
        assert_eq!(text(&done), "[0]");
    }
}

async fn hostile_prepare() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let bad = |source: &'static str| neofn_runtime::port::Prepare {
        kind: neofn_types::RuntimeKind::Js,
        code: source.into(),
        memory_bytes: 64 << 20,
        time: Duration::from_millis(500),
        fuel: u64::MAX / 4,
    };
    for source in [
        "for (;;) {} export function handler() {}",
        "throw new Error('no'); export function handler() {}",
        "export function other() {}",
        "const f = () => f() + 1; f(); export function handler() {}",
    ] {
        match pool.prepare(bad(source)).await {
            Err(PrepareError::Refused(f)) => assert!(f.code.as_str().starts_with("NF01"), "{f:?}"),
            other => panic!("{source}: {other:?}"),
        }
    }
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    prepare(&pool, SOURCE).await;
}

async fn other_engine() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let other = neofn_runtime::port::Artifact {
        engine: neofn_types::Digest::of(b"older"),
        ..(*a).clone()
    };
    let done = pool.invoke(job(&Arc::new(other), "null")).await;
    assert_eq!(code(&done), Some(Code::EngineMismatch));
    let bytes = bytes::Bytes::from_static(b"no artifact");
    let damaged = neofn_runtime::port::Artifact {
        digest: neofn_types::Digest::of(&bytes),
        bytes,
        ..(*a).clone()
    };
    let done = pool.invoke(job(&Arc::new(damaged), "null")).await;
    assert_eq!(code(&done), Some(Code::EngineMismatch), "{}", text(&done));
    assert_eq!(pool.status().restarts, 0);
}

const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 1024))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 48)) (then (loop $l (br $l))))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

async fn wasm() {
    let pool = pool(1).await;
    let request = |code: Vec<u8>| neofn_runtime::port::Prepare {
        kind: neofn_types::RuntimeKind::Wasm,
        code: code.into(),
        memory_bytes: 16 << 20,
        time: Duration::from_secs(10),
        fuel: 1_000_000_000,
    };
    let (artifact, _) = pool
        .prepare(request(wat::parse_str(MODULE).unwrap()))
        .await
        .unwrap();
    let a = Arc::new(artifact);
    for _ in 0..5 {
        let done = pool.invoke(job(&a, r#"{"echo":[1,2]}"#)).await;
        assert_eq!(text(&done), r#"{"echo":[1,2]}"#);
        assert_eq!(done.layout, Layout::Wasm);
    }
    let mut j = job(&a, "0");
    j.time = Duration::from_millis(200);
    j.units = u64::MAX / 2_000;
    let done = pool.invoke(j).await;
    assert_eq!(code(&done), Some(Code::TimedOut), "{}", text(&done));
    match pool.prepare(request(b"no module".to_vec())).await {
        Err(PrepareError::Refused(f)) => assert_eq!(f.code, Code::WasmInvalid, "{f:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.status().restarts, 0);
}

async fn too_large() {
    let pool = pool(1).await;
    let chatty = r#"export default (e) => {
        if (e === 0) return "x".repeat(4500000);
        console.log("x".repeat(65530));
        for (let i = 0; i < 700000; i++) console.log("");
        return 1;
    }"#;
    let a = prepare(&pool, chatty).await;
    let mut j = job(&a, "0");
    j.limits.result_bytes = 5 << 20;
    let done = pool.invoke(j).await;
    assert_eq!(code(&done), Some(Code::ResultTooLarge), "{}", text(&done));
    assert!(done.units.total > 10_000, "{:?}", done.units);
    let done = pool.invoke(job(&a, "1")).await;
    assert_eq!(text(&done), "1");
    assert_eq!(done.logs.len(), 2);
    assert_eq!(pool.status().restarts, 0);
}

async fn given_up() {
    let mut o = support::options(1);
    // the next call runs only once the child has answered for the one that was given up
    o.running_max = 1;
    let pool = support::start(o).await;
    let a = prepare(&pool, SOURCE).await;
    assert!(pool.invoke(job(&a, "{}")).await.outcome.is_ok());
    let child = pool.children()[0];
    for _ in 0..3 {
        signal_all(child, "-STOP");
        // more than the socket takes at once
        let large = format!(r#"{{"name":"{}"}}"#, "n".repeat(4_000_000));
        let sending = tokio::time::timeout(Duration::from_millis(300), pool.invoke(job(&a, large))).await;
        assert!(sending.is_err());
        signal_all(child, "-CONT");
        let mut j = job(&a, r#"{"name":"Neo"}"#);
        j.time = Duration::from_secs(10);
        let done = pool.invoke(j).await;
        assert!(done.outcome.is_ok(), "{}", text(&done));
    }
    assert_eq!(pool.children(), [child]);
    assert_eq!(pool.status().restarts, 0);
}

async fn loads_too_long() {
    let pool = pool(1).await;
    let a = prepare(&pool, SOURCE).await;
    let child = pool.children()[0];
    signal_all(child, "-STOP");
    for _ in 0..3 {
        let mut j = job(&a, r#"{"name":"Neo"}"#);
        j.time = Duration::from_millis(300);
        let done = pool.invoke(j).await;
        assert_eq!(code(&done), Some(Code::Overloaded), "{}", text(&done));
        assert!(done.duration < Duration::from_secs(3), "{:?}", done.duration);
    }
    signal_all(child, "-CONT");
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert_eq!(pool.status().restarts, 0);
}

/// Takes the memory that its event asks for, then waits for a host call.
const HOG: &str = "export default async (e, ctx) => {
    const held = [];
    for (let i = 0; i < e; i++) held.push(new Uint8Array(1 << 20).fill(7));
    await ctx.kv.get('k');
    return held.length;
}";

/// Answers once the door is open.
#[derive(Default)]
struct Door {
    asked: AtomicU32,
    open: tokio::sync::watch::Sender<bool>,
}

#[async_trait]
impl HostCalls for Door {
    async fn call(&self, _: HostCall) -> HostReply {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("sender lives");
        reply()
    }
}

/// All at once, answered with a mebibyte each.
const MANY: &str = "export const handler = (e, ctx) => Promise.all(Array.from({ length: 40 }, (_, n) => ctx.kv.get('k' + n)))";

struct Wide(Door);

#[async_trait]
impl HostCalls for Wide {
    async fn call(&self, call: HostCall) -> HostReply {
        HostReply {
            result: Ok(format!("\"{}\"", "x".repeat(1 << 20)).into()),
            ..self.0.call(call).await
        }
    }
}

async fn deaf() {
    let pool = Arc::new(pool(1).await);
    let (many, small) = (prepare(&pool, MANY).await, prepare(&pool, SOURCE).await);
    let wide = Arc::new(Wide(Door::default()));
    let mut j = job(&many, "{}");
    j.host = Arc::clone(&wide) as Arc<dyn HostCalls>;
    j.time = Duration::from_secs(2);
    let run = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.invoke(j).await }
    });
    until("forty host calls", || wide.0.asked.load(Ordering::SeqCst) == 40).await;
    let child = pool.children();
    signal_all(child[0], "-STOP");
    wide.0.open.send_replace(true);
    let done = run.await.unwrap();
    assert_eq!(code(&done), Some(Code::TimedOut), "{}", text(&done));
    until("it is gone", || {
        !std::path::Path::new(&format!("/proc/{}", child[0])).exists()
    })
    .await;
    let done = pool.invoke(job(&small, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert_ne!(pool.children(), child);
}

/// Goes on with one answer, is busy until the others are there, and fails.
const IMPATIENT: &str = "
export async function handler(e, ctx) {
    const first = ctx.invoke('demo/a', {});
    for (const name of ['b', 'c']) ctx.invoke('demo/' + name, {});
    await first;
    for (let n = 0; n < 3_000_000; n++);
    throw new Error('no');
}";

struct Costly(u64);

#[async_trait]
impl HostCalls for Costly {
    async fn call(&self, _: HostCall) -> HostReply {
        HostReply {
            units: self.0,
            ..reply()
        }
    }
}

async fn late() {
    let pool = pool(1).await;
    let a = prepare(&pool, IMPATIENT).await;
    let mut totals = Vec::new();
    for units in [0, 5_000] {
        let mut j = job(&a, "{}");
        j.host = Arc::new(Costly(units));
        let done = pool.invoke(j).await;
        assert_eq!(code(&done), Some(Code::Uncaught), "{}", text(&done));
        assert_eq!(
            done.units.total,
            done.units.base + done.units.compute + done.units.memory + done.units.host
        );
        totals.push(done.units.total);
    }
    assert_eq!(totals[1] - totals[0], 15_000);
}

async fn largest() {
    const BOUND: u64 = 800 << 20;
    let mut o = support::options(1);
    o.child_bytes_max = BOUND;
    o.hot_bytes_max = 64 << 20;
    let pool = Arc::new(support::start(o).await);
    let a = prepare(&pool, HOG).await;
    let child = pool.children();
    let door = Arc::new(Door::default());
    let begin = |mib: u32| {
        let mut j = job(&a, mib.to_string());
        j.host = Arc::clone(&door) as Arc<dyn HostCalls>;
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.invoke(j).await })
    };
    let small: Vec<_> = (0..5).map(|_| begin(1)).collect();
    until("five wait", || door.asked.load(Ordering::SeqCst) == 5).await;
    let large: Vec<_> = (0..40).map(|_| begin(40)).collect();
    // 480 MiB hold eleven of them; the others have to go
    until("most have ended", || {
        large.iter().filter(|l| l.is_finished()).count() >= 28
    })
    .await;
    let resident = neofn_jail::resident_bytes(child[0]).unwrap();
    assert!(resident < BOUND, "{resident} bytes");
    door.open.send_replace(true);
    let mut failed = 0;
    for l in large {
        let done = l.await.unwrap();
        if done.outcome.is_err() {
            assert_eq!(code(&done), Some(Code::Overloaded), "{}", text(&done));
            failed += 1;
        }
    }
    assert!((28..40).contains(&failed), "{failed} of 40");
    for s in small {
        assert_eq!(text(&s.await.unwrap()), "1");
    }
    assert_eq!(pool.children(), child);
    assert_eq!(pool.status().restarts, 0);
}

async fn damaged_cache() {
    let dir = tempfile::tempdir().unwrap();
    let mut o = support::options(1);
    let shared = std::mem::replace(&mut o.cache_dir, dir.path().join("cache"));
    // engines of other builds may lie there too
    let name = format!(
        "engine-{}.bin",
        pool(1).await.engine(neofn_types::RuntimeKind::Js)
    );
    std::fs::DirBuilder::new().create(&o.cache_dir).unwrap();
    let mut bytes = std::fs::read(shared.join(&name)).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    std::fs::write(o.cache_dir.join(&name), &bytes).unwrap();
    let cached = o.cache_dir.join(&name);
    let pool = support::start(o).await;
    assert!(
        std::fs::read(&cached).unwrap() != bytes,
        "the damaged file is still there"
    );
    let a = prepare(&pool, SOURCE).await;
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
}

async fn watchdog() {
    let mut o = support::options(1);
    o.child_bytes_max = 1 << 20;
    let pool = support::start(o).await;
    let a = prepare(&pool, SOURCE).await;
    let first = pool.children();
    let mut calls = 0;
    let replaced = async {
        while pool.status().restarts == 0 {
            let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
            assert!(done.outcome.is_ok(), "{}", text(&done));
            calls += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), replaced)
        .await
        .expect("never replaced");
    assert!(calls > 1);
    let done = pool.invoke(job(&a, r#"{"name":"Neo"}"#)).await;
    assert!(done.outcome.is_ok(), "{}", text(&done));
    assert_ne!(pool.children(), first);
}

async fn end() {
    let pool = pool(2).await;
    let a = prepare(&pool, SOURCE).await;
    until("two children", || pool.children().len() == 2).await;
    let pids = pool.children();
    drop(a);
    drop(pool);
    let alive = |pid: &u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    until("children gone", || !pids.iter().any(alive)).await;
}
