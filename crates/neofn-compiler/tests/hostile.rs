//! Sources made to hurt: each has its own clear answer, and the next compilation works.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{codes, compile, compiler, options, project, refusal};
use neofn_compiler::{CompileError, CompileRequest, Compiler};
use neofn_types::Grants;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn single(source: impl Into<String>) -> CompileRequest {
    CompileRequest::single(source, Grants::default())
}

fn nest(open: &str, middle: &str, close: &str, times: usize) -> String {
    format!(
        "export const handler = () => 1;\nexport const deep = {}{middle}{};\n",
        open.repeat(times),
        close.repeat(times)
    )
}

#[tokio::test]
async fn nesting_is_refused_with_its_own_code_whatever_is_nested() {
    let compiler = compiler();
    for (open, middle, close) in [
        ("[", "1", "]"),
        ("{a:", "1", "}"),
        ("(() => ", "1", ")"),
        ("`${", "1", "}`"),
        ("function(){return ", "1", "}"),
        ("!", "1", ""),
        ("1+", "1", ""),
        ("a?1:", "1", ""),
        ("f(", "1", ")"),
        ("new A(", "1", ")"),
        ("(", "1", ")"),
        ("async()=>{", "1", "}"),
        ("a=", "1", ""),
        ("class extends ", "Object", "{}"),
        ("<T,>", "1", ""),
    ] {
        for times in [10_000, 200_000] {
            let outcome = compiler.compile(single(nest(open, middle, close, times))).await;
            match outcome {
                Err(CompileError::Refused { diagnostics, .. }) => {
                    let first = &diagnostics[0];
                    assert!(
                        matches!(first.code.as_str(), "NF0108" | "NF0101"),
                        "{open} x {times}: {first:#?}"
                    );
                    assert_eq!(first.file, "index.ts");
                    assert!(first.frame.chars().count() < 1000);
                }
                // parentheses leave no trace in the tree: as long as the parser survives them, they are harmless
                Ok(_) => assert_eq!((open, times), ("(", 10_000)),
                Err(other) => panic!("{open} x {times}: {other}"),
            }
        }
    }
    compiler
        .compile(single("export const handler = () => 1;"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_stack_gives_out_in_the_child_and_the_place_is_still_told() {
    let (stage, found) = refusal(single(nest("[", "1", "]", 200_000))).await;
    assert_eq!((stage.as_str(), codes(&found)), ("validate", vec!["NF0108"]));
    assert_eq!((found[0].file.as_str(), found[0].line), ("index.ts", 2));
    assert!(found[0].frame.contains("> 2 |"), "{}", found[0].frame);
}

#[tokio::test]
async fn a_megabyte_on_one_line() {
    let mut line = String::from("export const handler = (n) => { let a = n;");
    while line.len() < 900_000 {
        let n = line.len();
        let _ = write!(line, "a=(a*{n}+{})%{};", n % 97, n + 7);
    }
    line.push_str("return a };");
    let out = compile(single(line.clone())).await;
    assert!(out.code.len() > 500_000, "{}", out.code.len());
    line.push_str("let x = 1 +;");
    let (_, found) = refusal(single(line)).await;
    assert_eq!(found[0].code.as_str(), "NF0101");
    assert!(found[0].column > 800_000);
    assert!(found[0].frame.chars().count() < 500, "{}", found[0].frame);
}

#[tokio::test]
async fn sizes_have_their_own_code() {
    let big = format!("export const handler = () => \"{}\";", "x".repeat(10 << 20));
    let (stage, found) = refusal(single(big)).await;
    assert_eq!((stage.as_str(), codes(&found)), ("validate", vec!["NF0107"]));
    assert!(found[0].message.contains("index.ts"), "{}", found[0].message);
    let bundled = format!("export const handler = () => \"{}\";", "x".repeat(2 << 20));
    let (stage, found) = refusal(single(bundled)).await;
    assert_eq!((stage.as_str(), codes(&found)), ("compile", vec!["NF0107"]));
    assert!(found[0].hint.contains("index.ts"), "{}", found[0].hint);
    let (_, found) = refusal(single("x".repeat(17 << 20))).await;
    assert_eq!(codes(&found), ["NF0107"]);
    let files: BTreeMap<String, String> = (0..20_001).map(|n| (format!("f{n}.ts"), String::new())).collect();
    let (_, found) = refusal(CompileRequest { files, ..single("") }).await;
    assert_eq!(codes(&found), ["NF0107"]);
    // what is shaken off does not count
    let shaken = format!("export const unused = \"{}\";", "x".repeat(3 << 20));
    compile(project(
        "index.ts",
        &[
            (
                "index.ts",
                "import { b } from './b';\nexport const handler = () => b;",
            ),
            ("b.ts", &format!("{shaken}\nexport const b = 1;")),
        ],
    ))
    .await;
}

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused_before_a_child_sees_them() {
    let long = format!("{}.ts", "a".repeat(600));
    for path in [
        "../x.ts",
        "/etc/passwd",
        "a//b.ts",
        "./a.ts",
        "a/../b.ts",
        "a\\b.ts",
        "a\0.ts",
        "a\n.ts",
        "",
        "a/",
        "a?b.ts",
        "a#b.ts",
        long.as_str(),
    ] {
        let (stage, found) = refusal(project(path, &[(path, "export const handler = () => 1;")])).await;
        assert_eq!(
            (stage.as_str(), codes(&found)),
            ("validate", vec!["NF0123"]),
            "{path:?}"
        );
        assert!(found[0].message.len() < 300);
    }
    let (_, found) = refusal(project("src/main.ts", &[("src/index.ts", "")])).await;
    assert_eq!(codes(&found), ["NF0123"]);
    assert!(found[0].hint.contains("src/index.ts"), "{}", found[0].hint);
    for path in [
        "ünï.ts",
        "with space.ts",
        "日本/索引.ts",
        "%2e%2e/a.ts",
        "CON.ts",
        "-rf.ts",
        "a.ts.ts",
    ] {
        compile(project(path, &[(path, "export const handler = () => 1;")])).await;
    }
}

#[tokio::test]
async fn odd_texts() {
    for (source, code) in [
        ("\0", "NF0101"),
        ("export const handler = () => 1;\0", "NF0101"),
        ("\u{feff}export const handler = () => 1;", ""),
        ("#!/usr/bin/env node\nexport const handler = () => 1;", ""),
        ("\u{202e}export const handler = () => 1;", "NF0101"),
        ("export const handler = () => '\u{2028}\u{10ffff}';", ""),
        ("export const handler = () => 1; // \u{fffd}", ""),
        ("export const handler = () => \"\\ud800\";", ""),
        ("<!-- x\nexport const handler = () => 1;", "NF0101"),
        ("return 1;", "NF0101"),
        ("export const handler = async () => await 1; await 2;", ""),
        ("import.meta.url; export const handler = () => 1;", ""),
        (
            "export const handler = () => 1; export const handler = 2;",
            "NF0101",
        ),
        ("export * from './index';\nexport const handler = () => 1;", ""),
        (
            "import { handler as h } from './index';\nexport const handler = () => h;",
            "",
        ),
    ] {
        match compiler().compile(single(source)).await {
            Ok(_) => assert_eq!(code, "", "{source:?} compiled"),
            Err(CompileError::Refused { diagnostics, .. }) => {
                assert_eq!(diagnostics[0].code.as_str(), code, "{source:?}")
            }
            Err(other) => panic!("{source:?}: {other}"),
        }
    }
}

#[tokio::test]
async fn cycles_and_ten_thousand_files() {
    let cycle = [
        (
            "index.ts",
            "import { a } from './a';\nexport const one = 1;\nexport const handler = () => a();",
        ),
        (
            "a.ts",
            "import { b } from './b';\nexport const a = () => b() + 1;",
        ),
        (
            "b.ts",
            "import { one } from './index';\nimport { a } from './a';\nexport const b = () => one + (a as any).length;",
        ),
    ];
    compile(project("index.ts", &cycle)).await;
    let reexports = [
        ("index.ts", "export { handler } from './a';"),
        ("a.ts", "export { handler } from './b';"),
        ("b.ts", "export { handler } from './a';"),
    ];
    refusal(project("index.ts", &reexports)).await;

    let mut request = single("import { f0 } from './m/f0';\nexport const handler = () => f0();");
    for n in 0..9_999 {
        let text = format!(
            "import {{ f{0} }} from './f{0}';\nexport const f{n} = () => f{0}() + {n};\n",
            n + 1
        );
        request.files.insert(format!("m/f{n}.ts"), text);
    }
    request.files.insert(
        "m/f9999.ts".to_owned(),
        "export const f9999 = () => 0;".to_owned(),
    );
    match compiler().compile(request).await {
        Ok(out) => assert!(out.code.len() > 10_000),
        // an unoptimised compiler does not get through them in the CPU time that one compilation may take
        Err(CompileError::Refused { diagnostics, .. }) => {
            assert_eq!(codes(&diagnostics), ["NF0116"]);
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_child_killed_while_it_waits_or_works_harms_nobody() {
    let compiler = compiler();
    compiler.warm_up().await.unwrap();
    for pid in descendants() {
        kill(pid);
    }
    compiler
        .compile(single("export const handler = () => 1;"))
        .await
        .unwrap();

    // large enough to be still at work when it is hit
    let mut source = String::from("export const handler = (n) => {");
    while source.len() < 900_000 {
        let _ = write!(
            source,
            "if (n > {}) {{ n -= 1; }} else {{ n += 2; }}",
            source.len()
        );
    }
    source.push_str("return n };");
    let working = tokio::spawn({
        let compiler = compiler.clone();
        let source = source.clone();
        async move { compiler.compile(single(source)).await }
    });
    let mut hit = false;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !working.is_finished() && tokio::time::Instant::now() < deadline {
        for pid in descendants().into_iter().filter(|pid| cpu_ticks(*pid) >= 4) {
            kill(pid);
            hit = true;
        }
        tokio::task::yield_now().await;
    }
    let outcome = working.await.unwrap();
    assert!(hit, "no child was seen at work");
    assert!(
        matches!(&outcome, Err(CompileError::Unavailable(_))),
        "{outcome:?}"
    );
    compiler
        .compile(single("export const handler = () => 1;"))
        .await
        .unwrap();
}

/// Processes that this one started, and those that they did.
fn descendants() -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let parents: Vec<(u32, u64)> = pids.map(|pid| (pid, stat_field(pid, 1))).collect();
    let mut found = vec![u64::from(std::process::id())];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| u64::from(*pid)),
        );
        at += 1;
    }
    found
        .into_iter()
        .skip(1)
        .filter_map(|pid| u32::try_from(pid).ok())
        .collect()
}

/// CPU time in user mode, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    stat_field(pid, 11)
}

/// A number of `/proc/PID/stat`, counted after the name.
fn stat_field(pid: u32, field: usize) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or("");
    after
        .split_whitespace()
        .nth(field)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn kill(pid: u32) {
    let _ = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
}

#[tokio::test]
async fn no_binary_and_a_silent_binary_are_unavailable() {
    for exe in ["/nonexistent/neofn", "/bin/true"] {
        let compiler = Compiler::new(neofn_compiler::CompilerOptions {
            exe: exe.into(),
            ..options()
        });
        let outcome = compiler.compile(single("export const handler = () => 1;")).await;
        assert!(
            matches!(outcome, Err(CompileError::Unavailable(_))),
            "{exe}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn many_at_once_all_come_through() {
    let compiler = compiler();
    let jobs: Vec<_> = (0..12)
        .map(|n| {
            let compiler = compiler.clone();
            tokio::spawn(async move {
                compiler
                    .compile(single(format!("export const handler = () => {n};")))
                    .await
            })
        })
        .collect();
    for (n, job) in jobs.into_iter().enumerate() {
        let out = job.await.unwrap().unwrap();
        assert!(out.code.contains(&n.to_string()), "{}", out.code);
    }
}
