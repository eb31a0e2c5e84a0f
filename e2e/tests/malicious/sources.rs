//! Sources that must not be taken.

use super::{ANSWERS_WITHIN, deploy, http, still_well};
use serde_json::json;
use std::time::Instant;

fn refused(name: &str, source: &str, statuses: &[u16], codes: &[&str]) {
    let started = Instant::now();
    let answer = deploy(name, source);
    assert!(
        statuses.contains(&answer.status),
        "{name}: {} {}",
        answer.status,
        answer.code()
    );
    assert!(
        codes.contains(&answer.code().as_str()),
        "{name}: {}",
        answer.body.chars().take(400).collect::<String>()
    );
    assert!(
        answer.body.len() < 100_000,
        "{name}: an answer of {} bytes",
        answer.body.len()
    );
    assert!(
        started.elapsed() < ANSWERS_WITHIN,
        "{name} took {:?}",
        started.elapsed()
    );
    still_well();
}

#[test]
fn a_source_of_ten_megabytes_is_refused() {
    let source = format!(
        "export function handler() {{ return 1; }}\n{}",
        "globalThis.a = 1;\n".repeat(600_000)
    );
    refused("tenmb", &source, &[413], &["NF0107"]);
    let source = format!(
        "export const data = \"{}\"; export function handler() {{ return data.length; }}",
        "x".repeat(10 << 20)
    );
    refused("tenmb2", &source, &[413], &["NF0107"]);
    // neither does what the bundler would drop make it small
    let handler = "export function handler() { return 1; }";
    let ten = "x".repeat(10 << 20);
    for source in [
        format!("// {ten}\n{handler}"),
        format!("{}{handler}", " ".repeat(10 << 20)),
        format!("const dead = \"{ten}\";\n{handler}"),
    ] {
        refused("tenmb3", &source, &[413], &["NF0107"]);
    }
}

#[test]
fn one_long_line_is_taken_and_its_errors_are_short() {
    let filler = "globalThis.a=1;".repeat(40_000);
    let good = format!("{filler}export function handler(){{return globalThis.a}}");
    let answer = deploy("oneline", &good);
    assert_eq!(
        answer.status,
        201,
        "{}",
        answer.body.chars().take(400).collect::<String>()
    );
    refused(
        "oneline-bad",
        &format!("{filler}export function handler(){{return (}}"),
        &[422],
        &["NF0101"],
    );
}

#[test]
fn deeply_nested_sources_are_refused() {
    // parentheses alone leave no trace in the syntax tree: a parser that survives them may take them
    let parens = format!(
        "export const handler = () => {}1{};",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    let answer = deploy("parens", &parens);
    assert!(answer.status == 201 || answer.code() == "NF0108", "{answer:?}");
    still_well();
    let shapes: [(&str, String); 6] = [
        (
            "objects",
            format!(
                "export const handler = () => ({}1{});",
                "{a:".repeat(10_000),
                "}".repeat(10_000)
            ),
        ),
        (
            "arrays",
            format!(
                "export const handler = () => {}{};",
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
        ),
        (
            "functions",
            format!(
                "export function handler() {{ {}1{} }}",
                "(function(){return ".repeat(10_000),
                "})()".repeat(10_000)
            ),
        ),
        (
            "blocks",
            format!(
                "export function handler() {{ {}{} }}",
                "{".repeat(10_000),
                "}".repeat(10_000)
            ),
        ),
        (
            "templates",
            format!(
                "export const handler = () => {}1{};",
                "`${{".replace("{{", "{").repeat(10_000),
                "}`".repeat(10_000)
            ),
        ),
        (
            "unary",
            format!("export const handler = () => {}1;", "!".repeat(100_000)),
        ),
    ];
    for (name, source) in shapes {
        refused(
            name,
            &source,
            &[413, 422],
            &["NF0108", "NF0116", "NF0120", "NF0205"],
        );
    }
}

#[test]
fn sources_without_one_clear_handler_are_refused() {
    refused("none", "export const x = 1;", &[422], &["NF0102"]);
    refused(
        "two",
        "export function handler() {} export default function () {}",
        &[422],
        &["NF0103"],
    );
    refused("syntax", "export function handler( {", &[422], &["NF0101"]);
    refused(
        "dynamic",
        "export async function handler(e) { return import(e.name); }",
        &[422],
        &["NF0104"],
    );
    refused(
        "outside",
        "import x from '../../etc/passwd'; export function handler() { return x; }",
        &[422],
        &["NF0105"],
    );
    refused(
        "builtin",
        "import fs from 'node:fs'; export function handler() { return fs; }",
        &[422],
        &["NF0105"],
    );
}

#[test]
fn a_top_level_that_misbehaves_is_refused() {
    refused(
        "top-loop",
        "for (;;) {}\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    refused(
        "top-throw",
        "throw new Error('no');\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    refused(
        "top-await",
        "await new Promise(() => {});\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    let hog = "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1));\nexport function handler() {}";
    refused("top-memory", hog, &[422], &["NF0120"]);
}

#[test]
fn a_refused_deployment_leaves_the_old_version_serving() {
    let _ = deploy("steady", "export function handler() { return 'v1'; }").expect(201);
    for bad in [
        "export function handler( {",
        "throw 1; export function handler() {}",
        "export const a = 1;",
    ] {
        let _ = deploy("steady", bad).expect(422);
        let answer = http().invoke("demo", "steady", &json!(null)).expect(200);
        assert_eq!(
            (
                answer.json()["result"].as_str(),
                answer.json()["version"].as_u64()
            ),
            (Some("v1"), Some(1))
        );
    }
}
