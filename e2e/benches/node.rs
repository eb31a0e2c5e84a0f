//! The figures that the documentation quotes for a whole node: `make bench` prints them as a table.
//!
//! Ratios are taken in one run on one machine: rounds of each server alternate, the load generator (wrk) shares the
//! cores with them. Servers that are not installed are left out and said to be.

#[path = "node/chain.rs"]
mod chain;
#[path = "node/cluster.rs"]
mod cluster;

use neofn_testkit::{NodeProcess, eventually};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HANDLER: &str = "let count = 0;
export function handler(event) {
  count++;
  return { greeting: 'Hello, ' + event.name, sum: event.items.reduce((a, b) => a + b, 0), count };
}";
const ROUNDS: usize = 5;
const SECONDS: u32 = 4;

fn main() {
    // `cargo bench` passes --bench; a name narrows it down
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let on = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if on("http") {
        http();
    }
    if on("async") {
        accepted();
    }
    if on("deploy") {
        deploy();
    }
    if on("chain") {
        chain::chain();
    }
    if on("cluster") {
        cluster::cluster();
    }
    if on("scale") {
        scale();
    }
}

fn row(what: &str, value: &str, target: &str) {
    println!("| {what:58} | {value:>26} | {target:>18} |");
}

fn heading(title: &str) {
    println!("\n### {title}\n");
    row("what", "measured", "target");
    println!("|{}|{}|{}|", "-".repeat(60), "-".repeat(28), "-".repeat(20));
}

// --- HTTP ------------------------------------------------------------------------------------------------------------

struct Server {
    name: &'static str,
    url: String,
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    child: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn http() {
    let node = NodeProcess::start();
    let request = json!({"function_name": "bench", "source": HANDLER, "public": true});
    let _ = node.http().deploy_with("demo", request).expect(201);
    let server = |name, url, child| Server {
        name,
        url,
        rates: vec![],
        p50: vec![],
        p99: vec![],
        child,
    };
    let mut servers = vec![server(
        "neofn (fresh sandbox, own process)",
        format!("{}/api/v1/functions/demo/bench", node.url()),
        None,
    )];
    match workerd() {
        Some((url, child)) => servers.push(server("workerd (one shared isolate)", url, Some(child))),
        None => eprintln!("workerd is not to be had here: left out"),
    }
    match node_vm() {
        Some((url, child)) => servers.push(server("node, vm context a request", url, Some(child))),
        None => eprintln!("node is not to be had here: left out"),
    }
    for s in &servers {
        let _ = wrk(&s.url, 1);
    }
    for _ in 0..ROUNDS {
        for s in &mut servers {
            let (rate, p50, p99) = wrk(&s.url, SECONDS).expect("wrk");
            s.rates.push(rate);
            s.p50.push(p50);
            s.p99.push(p99);
        }
    }
    heading(&format!(
        "HTTP, 32 connections, load generator on the same cores, median of {ROUNDS}"
    ));
    for s in &servers {
        row(
            s.name,
            &format!(
                "{:.0}/s p50 {:.2} p99 {:.2} ms",
                median(&s.rates),
                median(&s.p50),
                median(&s.p99)
            ),
            "",
        );
    }
    let own = median(&servers[0].rates);
    for s in servers.iter().skip(1) {
        let target = if s.name.starts_with("workerd") {
            ">= 2 x"
        } else {
            ">= 8 x"
        };
        row(
            &format!("neofn against {}", s.name),
            &format!("{:.1} x", own / median(&s.rates)),
            target,
        );
    }
    row(
        "neofn p99",
        &format!("{:.2} ms", median(&servers[0].p99)),
        "< 10 ms",
    );
    let health = node.http().get("/health").expect(200).json();
    assert_eq!(health["failedInvocations"], 0, "{health}");
}

fn median(values: &[f64]) -> f64 {
    let mut v = values.to_vec();
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied().unwrap_or(f64::NAN)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Requests a second, p50 and p99 in milliseconds.
fn wrk(url: &str, seconds: u32) -> Option<(f64, f64, f64)> {
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), "--latency", "-s"])
        .arg(peers().join("post.lua"))
        .arg(url)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let field = |name: &str| {
        text.lines()
            .find_map(|l| l.trim().strip_prefix(name))
            .map(str::trim)
            .map(str::to_owned)
    };
    Some((
        field("Requests/sec:")?.parse().ok()?,
        millis(&field("50%")?)?,
        millis(&field("99%")?)?,
    ))
}

fn millis(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

fn npm_cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    base.join("neofn/bench-npm")
}

fn workerd() -> Option<(String, Child)> {
    let dir = npm_cache();
    let binary = dir.join("node_modules/.bin/workerd");
    if !binary.exists() {
        std::fs::create_dir_all(&dir).ok()?;
        let done = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&dir)
            .arg("workerd")
            .status();
        done.ok().filter(std::process::ExitStatus::success)?;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .ok()?
        .local_addr()
        .ok()?
        .port();
    let config = dir.join("bench.capnp");
    let text = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (\n  services = [(name = \"main\", worker = .bench)],\n  sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]\n);\nconst bench :Workerd.Worker = (modules = [(name = \"worker\", esModule = embed \"worker.mjs\")], compatibilityDate = \"2025-01-01\");\n"
    );
    std::fs::copy(peers().join("worker.mjs"), dir.join("worker.mjs")).ok()?;
    std::fs::write(&config, text).ok()?;
    let child = Command::new(binary)
        .arg("serve")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    eventually("workerd listens", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((format!("http://127.0.0.1:{port}/"), child))
}

fn node_vm() -> Option<(String, Child)> {
    let mut child = Command::new("node")
        .arg(peers().join("node-vm.mjs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some((format!("http://127.0.0.1:{}/", line.trim()), child))
}

// --- asynchronous acceptance -----------------------------------------------------------------------------------------

fn accepted() {
    const SECONDS: u32 = 5;
    let node = NodeProcess::start();
    let http = node.http();
    // the functions are as small as can be: what is measured is durable acceptance
    for n in 0..32 {
        let name = format!("bench{n}");
        let source = "export function handler() {}";
        let request = json!({"function_name": name, "source": source, "public": true});
        let _ = http.deploy_with("demo", request).expect(201);
    }
    let output = Command::new("wrk")
        .args(["-t1", "-c64", &format!("-d{SECONDS}s"), "--latency", "-s"])
        .arg(peers().join("async.lua"))
        .arg(node.url())
        .output();
    heading("Asynchronous invocations of 32 functions, durable with group commit, 64 connections");
    let Ok(output) = output else { return };
    let done = http.get("/health").expect(200).json()["totalInvocations"]
        .as_f64()
        .unwrap_or(f64::NAN);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        text.lines()
            .find_map(|l| l.trim().strip_prefix(name))
            .and_then(|t| t.trim().parse::<f64>().ok())
    };
    let refused: f64 = number("Non-2xx or 3xx responses:").unwrap_or(0.0);
    let rate = number("Requests/sec:").unwrap_or(0.0) - refused / f64::from(SECONDS);
    row(
        "accepted (202)",
        &format!("{rate:.0}/s, {refused:.0} refused"),
        ">= 10 000/s",
    );
    row(
        "run meanwhile, on the same cores",
        &format!("{:.0}/s", done / f64::from(SECONDS)),
        "",
    );
}

// --- deployment ------------------------------------------------------------------------------------------------------

fn deploy() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "first", HANDLER).expect(201);
    let mut times: Vec<f64> = (0..20)
        .map(|n| {
            let started = Instant::now();
            let _ = http
                .deploy(
                    "demo",
                    &format!("f{n}"),
                    &format!("{HANDLER}\nexport const n = {n};"),
                )
                .expect(201);
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    heading("Deploying a small function, after the first");
    row("median of 20", &format!("{:.1} ms", median(&times)), "< 100 ms");
    row("slowest", &format!("{:.1} ms", times.last().unwrap()), "");
}

// --- scale -----------------------------------------------------------------------------------------------------------

fn scale() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    let http = node.http();
    for n in 0..1000 {
        let _ = http
            .deploy(
                "demo",
                &format!("f{n}"),
                &format!("{HANDLER}\nexport const n = {n};"),
            )
            .expect(201);
    }
    assert_eq!(node.terminate(), Some(0));
    let mut ready: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let node = NodeProcess::start_in(&data, &[]);
        ready.push(started.elapsed().as_secs_f64() * 1e3);
        assert_eq!(node.terminate(), Some(0));
    }
    heading("A node with 1 000 functions deployed");
    row(
        "`neofn up` ready, median of 5",
        &format!("{:.0} ms", median(&ready)),
        "< 300 ms",
    );
    let node = NodeProcess::start_in(&data, &[]);
    let idle = memory_kib(&node);
    row(
        "idle memory, all processes (PSS)",
        &format!("{:.0} MiB", idle / 1024.0),
        "< 120 MiB",
    );
    let http = node.http();
    for n in 0..1000 {
        let _ = http
            .invoke("demo", &format!("f{n}"), &json!({"name": "x", "items": [1]}))
            .expect(200);
    }
    let used = memory_kib(&node);
    row(
        "each function called once, more memory a function",
        &format!("{:.0} KiB", (used - idle) / 1000.0),
        "<= 250 KiB",
    );
}

/// Proportional set size of the node and all its children.
fn memory_kib(node: &NodeProcess) -> f64 {
    let pids = node.descendants().into_iter().chain([node.pid()]);
    pids.filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        text.lines()
            .find_map(|l| l.strip_prefix("Pss:"))?
            .split_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    })
    .sum()
}
