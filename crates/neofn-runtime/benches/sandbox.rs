//! What a call costs, in process: p50 and p99 in microseconds, fuel and epoch on, one thread.
//!
//! `cargo bench -p neofn-runtime --bench sandbox`. Rows are interleaved over several rounds, so that a busy machine
//! slows all of them; compare rows, not runs.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use bytes::Bytes;
use neofn_runtime::port::{JobContext, JobLimits};
use neofn_runtime::sandbox::{
    CallInput, Engine, EngineOptions, Finished, Interrupt, Recycle, Step, THREAD_STACK_BYTES, Version,
    artefact, image,
};
use neofn_types::{Clock, UnixMillis};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(200);
const SMALL: &str = "let counter = 0; export async function handler(event, ctx) { counter++; const items = event.items.map((x) => x * 2).filter((x) => x > 2); return { greeting: `Hello, ${event.name}`, counter, total: items.reduce((a, b) => a + b, 0), items }; }";
const EVENT: &str = r#"{"name":"Neo","items":[1,2,3,4,5,6,7,8],"nested":{"a":[true,false,null],"b":"text"}}"#;

struct RealClock(Instant);
impl Clock for RealClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn main() -> Result<(), Failure> {
    // `cargo test` runs benches too, to see that they start
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let thread = std::thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(bench)?;
    thread.join().map_err(|_| "the benchmark panicked")?
}

/// One row: its name, one call, and the samples so far.
struct Row<'a> {
    name: &'static str,
    call: Box<dyn FnMut() -> Result<Duration, Failure> + 'a>,
    samples: Vec<f64>,
}

fn bench() -> Result<(), Failure> {
    let built = artefact::build()?;
    let engine = load(&built)?;
    let clock: Arc<dyn Clock> = Arc::new(RealClock(Instant::now()));
    let interrupt = Interrupt::new(clock);
    let ticking = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(2));
            ticking.tick();
        }
    });

    let big = large_bundle();
    let (small_artifact, big_artifact) = (
        prepare(&engine, SMALL, &interrupt)?,
        prepare(&engine, &big, &interrupt)?,
    );
    let hot = |artifact: &[u8]| -> Result<Version, Failure> {
        let version = engine.version(artifact)?;
        engine.promote(&version, image::write_memfd(&built.base, artifact)?)?;
        Ok(version)
    };
    let (small_hot, big_hot) = (hot(&small_artifact)?, hot(&big_artifact)?);
    let small_cold = engine.version(&small_artifact)?;
    let many = (0..500)
        .map(|i| {
            let artifact = prepare(&engine, &format!("const id = {i}; {SMALL}"), &interrupt)?;
            Ok(engine.version(&artifact)?)
        })
        .collect::<Result<Vec<_>, Failure>>()?;

    let sandboxed = |version: &Version| -> Result<Duration, Failure> {
        let input = input();
        let began = Instant::now();
        let finished = done(engine.start(version, input, &interrupt))?;
        finished.recycle();
        Ok(began.elapsed())
    };
    // reset, but after the answer: what a caller waits for
    let answered = |version: &Version, left: &mut Option<Recycle>| -> Result<Duration, Failure> {
        if let Some(recycle) = left.take() {
            recycle.run();
        }
        let input = input();
        let began = Instant::now();
        let (_, recycle) = done(engine.start(version, input, &interrupt))?.split();
        let took = began.elapsed();
        *left = Some(recycle);
        Ok(took)
    };
    let (mut next, mut left, mut left_big) = (0, None, None);
    let mut rows = vec![
        row("small, live instance (r1cow), reset included", || {
            sandboxed(&small_hot)
        }),
        row("the floor: small, live, reset not counted", || {
            answered(&small_hot, &mut left)
        }),
        row("200 KB bundle, live instance, reset included", || {
            sandboxed(&big_hot)
        }),
        row("the floor: 200 KB bundle, live, no reset", || {
            answered(&big_hot, &mut left_big)
        }),
        row("small, pooled (d3)", || sandboxed(&small_cold)),
        row("500 small functions in turn, pooled (d3)", || {
            next = (next + 1) % many.len();
            sandboxed(many.get(next).ok_or("no version")?)
        }),
        row("native QuickJS, fresh runtime", || native(SMALL)),
    ];
    // `-- 'pooled'` runs the rows whose name holds the word
    if let Some(word) = std::env::args().skip(1).find(|a| !a.starts_with('-')) {
        rows.retain(|r| r.name.contains(&word));
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let until = Instant::now() + ROUND;
            while Instant::now() < until {
                let took = (row.call)()?;
                row.samples.push(took.as_secs_f64() * 1e6);
            }
        }
    }
    report(&mut rows)
}

fn report(rows: &mut [Row<'_>]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:48} {:>9} {:>9} {:>7}", "row", "p50 us", "p99 us", "ratio")?;
    let mut first = None;
    for row in rows {
        row.samples.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            row.samples
                .get(row.samples.len() * percent / 100)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let p50 = at(50);
        let ratio = p50 / *first.get_or_insert(p50);
        writeln!(out, "{:48} {:>9.1} {:>9.1} {:>7.2}", row.name, p50, at(99), ratio)?;
    }
    Ok(())
}

fn row<'a>(name: &'static str, call: impl FnMut() -> Result<Duration, Failure> + 'a) -> Row<'a> {
    Row {
        name,
        call: Box::new(call),
        samples: Vec::new(),
    }
}

fn load(built: &artefact::EngineFiles) -> Result<Engine, Failure> {
    let folder = tempfile::tempdir()?;
    let (module, base) = (folder.path().join("module"), folder.path().join("base"));
    std::fs::write(&module, &built.module)?;
    std::fs::write(&base, &built.base)?;
    Ok(Engine::load(EngineOptions {
        module: File::open(module)?,
        base: File::open(base)?,
        pagemap: Some(OwnedFd::from(File::open("/proc/self/pagemap")?)),
        slots: 64,
        live_max: 64,
        live_idle_max: 4,
    })?)
}

fn prepare(engine: &Engine, code: &str, interrupt: &Interrupt) -> Result<Vec<u8>, Failure> {
    let (made, _) = engine.prepare(
        code.as_bytes(),
        64 << 20,
        10_000_000_000,
        Duration::from_secs(30),
        interrupt,
    );
    made.map_err(|f| format!("{}: {}", f.code, f.message).into())
}

fn input() -> CallInput {
    CallInput {
        event: Bytes::from_static(EVENT.as_bytes()),
        context: JobContext {
            function: "bench".into(),
            project: "demo".into(),
            invocation: "i".into(),
            version: 1,
            attempt: 1,
            grants: Vec::new(),
        },
        seed: [3; 32],
        now: UnixMillis(1_700_000_000_000),
        deadline: Duration::from_secs(10),
        units: 10_000_000,
        limits: JobLimits::default(),
    }
}

fn done(step: Step) -> Result<Finished, Failure> {
    match step {
        Step::Done(finished) => match &finished.completed.outcome {
            Ok(json) if std::str::from_utf8(json)?.contains("\"counter\":1,") => Ok(finished),
            other => Err(format!("unexpected: {other:?}").into()),
        },
        Step::Parked(_) => Err("parked".into()),
    }
}

/// About 200 KB of functions and data around the small one.
fn large_bundle() -> String {
    let mut code = String::from(SMALL);
    let mut i = 0;
    while code.len() < 200_000 {
        let _ = write!(
            code,
            "\nexport class Model{i} {{ constructor(a, b) {{ this.a = a; this.b = b ?? 'default {i}'; }} sum(list) {{ let s = {i}; for (const x of list) s += x * this.a; return s; }} describe() {{ return `model {i} ${{this.a}} ${{this.b}}`; }} }}\nconst table{i} = [{i}, 'entry {i}', {{ key: 'k{i}', values: [1, 2, 3, {i}] }}];\nexport function helper{i}(x) {{ return x > {i} ? table{i}[2].values.map((v) => v + x) : table{i}[1]; }}"
        );
        i += 1;
    }
    code
}

/// A runtime, a context and the module anew for each call, without any sandbox.
fn native(code: &str) -> Result<Duration, Failure> {
    let began = Instant::now();
    let runtime = rquickjs::Runtime::new()?;
    let context = rquickjs::Context::full(&runtime)?;
    let json = context.with(|cx| -> Result<String, Failure> {
        let (module, evaluated) = rquickjs::Module::declare(cx.clone(), "fn.js", code)?.eval()?;
        evaluated.finish::<()>()?;
        let handler: rquickjs::Function<'_> = module.get("handler")?;
        let event = cx.json_parse(EVENT)?;
        let promise: rquickjs::Promise<'_> = handler.call((event,))?;
        let value: rquickjs::Value<'_> = promise.finish()?;
        Ok(cx.json_stringify(value)?.ok_or("no result")?.to_string()?)
    })?;
    if !json.contains("\"counter\":1") {
        return Err(json.into());
    }
    Ok(began.elapsed())
}
