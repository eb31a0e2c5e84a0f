//! Every rule is triggered by its bad example, at a place, and not by its good one.
#![expect(clippy::panic, reason = "a test may panic")]

mod common;

use common::{compiler, refusal};
use neofn_compiler::rules::{RULES, Rule};
use neofn_compiler::{CompileError, CompileRequest};
use neofn_types::{ChainGrant, ChainWrite, Code, Diagnostic, Grants, SecretGrant, Severity};

/// `x…` stands for a lot of x, and `[…]` for a lot of both.
fn expand(rule: &Rule, example: &str) -> String {
    match rule.code {
        Code::NestedTooDeep => example.replace("[…]", &format!("{}{}", "[".repeat(4000), "]".repeat(4000))),
        _ => example.replace("x…", &"x".repeat((1 << 20) + 100)),
    }
}

fn request(source: String) -> CompileRequest {
    let grants = Grants {
        kv: source.contains("allow = { kv = true }"),
        secrets: if source.contains("ctx.secrets") {
            "WIF".parse().map(SecretGrant::handle).into_iter().collect()
        } else {
            Vec::new()
        },
        ..Grants::default()
    };
    let mut request = CompileRequest::single(source, grants);
    request
        .files
        .insert("other.js".to_owned(), "export const other = 1;".to_owned());
    request
}

async fn findings(source: String) -> Vec<Diagnostic> {
    match compiler().compile(request(source)).await {
        Ok(compiled) => compiled.warnings,
        Err(CompileError::Refused { diagnostics, .. }) => diagnostics,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn bad_examples_are_found_and_good_ones_are_clean() {
    for rule in RULES {
        let found = findings(expand(rule, rule.example_bad)).await;
        let mine = found
            .iter()
            .find(|d| d.code == rule.code)
            .unwrap_or_else(|| panic!("{}: {found:#?}", rule.name));
        assert_eq!(mine.severity, rule.severity, "{}", rule.name);
        assert!(!mine.message.is_empty() && !mine.hint.is_empty(), "{mine:#?}");
        let others: Vec<_> = found.iter().filter(|d| d.code != rule.code).collect();
        assert!(others.is_empty(), "{}: {others:#?}", rule.name);
        if !matches!(rule.code, Code::UnusedGrant | Code::SourceTooLarge) {
            assert_eq!(mine.file, "index.ts", "{}", rule.name);
            assert!(mine.line > 0 && mine.column > 0 && mine.length > 0, "{mine:#?}");
            assert!(
                mine.frame.contains('^') && mine.frame.chars().count() < 800,
                "{}",
                mine.frame
            );
        }
        let good = findings(expand(rule, rule.example_good)).await;
        assert!(good.is_empty(), "{}: {good:#?}", rule.name);
    }
}

#[tokio::test]
async fn a_warning_alone_does_not_refuse_and_an_error_comes_first() {
    let source = "const a = {}.__proto__;\nexport const handler = () => eval(\"1\") ?? a;";
    let out = compiler().compile(request(source.to_owned())).await.unwrap();
    assert_eq!(common::codes(&out.warnings), ["NF0112", "NF0110"]);
    let (_, found) = refusal(request(format!("{source}\nimport(\"x\");"))).await;
    assert_eq!(common::codes(&found), ["NF0104", "NF0112", "NF0110"]);
    assert_eq!(found[0].severity, Severity::Error);
}

#[tokio::test]
async fn what_only_looks_like_a_finding_is_left_alone() {
    for source in [
        "export const handler = (f) => f instanceof Function && typeof f === 'function';",
        "const eval2 = (x) => x; export const handler = () => eval2(1);",
        "export const handler = ({ Function }) => new Function(1);",
        "class A { static x = 1 } A.prototype.y = 2; export const handler = () => new A().y;",
        "const hash = 'c7134d6fd8e73d819e82755c64c93788d8db0961929e025a53363c4cc02a6962'; export const handler = () => hash;",
        "const address = 'NZNos2WqTbu5oCgyfss9kUJgBXJqhuYAaj'; export const handler = () => address;",
        "export const handler = (e, { functionName }) => functionName;",
        "const header = '-----BEGIN PRIVATE KEY-----'; export const handler = (e) => e.text.includes(header);",
        "const password = process_label('Enter a password'); function process_label(s) { return s } export const handler = () => password;",
        "export const handler = (e) => /^(?:\\d{1,3}\\.){3}\\d{1,3}$/.test(e.ip);",
    ] {
        let found = findings(source.to_owned()).await;
        assert!(found.is_empty(), "{source}: {found:#?}");
    }
}

#[tokio::test]
async fn keys_are_found_wherever_they_are() {
    let wif = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn";
    for source in [
        format!("// {wif}\nexport const handler = () => 1;"),
        format!("export const handler = () => `{wif}`;"),
        format!("export const handler = () => ({{ k: \"{wif}\" }});"),
        "export const handler = () => ({ privateKey: 'c7134d6fd8e73d819e82755c64c93788d8db0961929e025a53363c4cc02a6962' });".to_owned(),
        "const pem = `-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGRAnu1nZnRHRlNyMHXKQaWJAHtsIEKZ6Vn5lzvdHVRoAoGCCqG\n`; export const handler = () => pem;".to_owned(),
    ] {
        let (_, found) = refusal(request(source.clone())).await;
        assert_eq!(common::codes(&found), ["NF0109"], "{source}: {found:#?}");
        assert!(!found[0].message.contains("Kw"), "a message must not repeat the key");
    }
    let wrong = findings("export const a = \"KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWo\"; export const handler = () => a;".to_owned()).await;
    assert!(wrong.is_empty(), "the checksum decides: {wrong:#?}");
    for token in [
        "AKIAIOSFODNN7EXAMPLQ",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ] {
        let found = findings(format!("const t = \"{token}\"; export const handler = () => t;")).await;
        assert_eq!(common::codes(&found), ["NF0113"], "{token}");
    }
}

#[tokio::test]
async fn an_exported_value_is_pointed_at() {
    for (source, message, column) in [
        (
            "export const handler = 5",
            "the export `handler` is a number, not a function",
            24,
        ),
        (
            "export default { fetch() {} }",
            "the default export is an object, not a function",
            16,
        ),
        (
            "export const main = [] as any",
            "the export `main` is an array, not a function",
            21,
        ),
    ] {
        let (_, found) = refusal(request(source.to_owned())).await;
        assert_eq!(common::codes(&found), ["NF0102"]);
        assert_eq!((found[0].message.as_str(), found[0].column), (message, column));
    }
}

#[tokio::test]
async fn packages_are_checked_for_errors_only() {
    let files = [
        ("index.ts", "import \"p\";\nexport const handler = () => 1;"),
        (
            "node_modules/p/package.json",
            "{\"name\":\"p\",\"main\":\"i.js\"}",
        ),
        (
            "node_modules/p/i.js",
            "Array.prototype.x = eval(\"1\"); /(a+)+/.test({}.__proto__);",
        ),
    ];
    let out = common::compile(common::project("index.ts", &files)).await;
    assert!(out.warnings.is_empty(), "{:#?}", out.warnings);
    let files = [
        files[0],
        files[1],
        (
            "node_modules/p/i.js",
            "export const f = () => import(\"./x.js\");",
        ),
    ];
    let (_, found) = refusal(common::project("index.ts", &files)).await;
    assert_eq!(common::codes(&found), ["NF0104"]);
    assert_eq!(found[0].file, "node_modules/p/i.js");
}

#[tokio::test]
async fn grants_of_the_chain_are_compared_with_what_is_used() {
    let write = || ChainGrant::Write(ChainWrite::new(["GAS"], "1").unwrap());
    type Warned = Option<(Code, &'static str)>;
    let cases: [(&str, ChainGrant, Warned); 10] = [
        ("ctx.neo.blockCount()", ChainGrant::Read, None),
        (
            "ctx.neo.blockCount()",
            ChainGrant::None,
            Some((Code::MissingGrant, "chain = \"read\"")),
        ),
        ("ctx.neo.toAddress('0x')", ChainGrant::None, None),
        (
            "ctx.neo.invoke('GAS', 'm')",
            ChainGrant::Read,
            Some((Code::MissingGrant, "write = {")),
        ),
        ("ctx.neo.invoke('GAS', 'm')", write(), None),
        ("ctx.neo.contract('GAS').invoke('m')", write(), None),
        ("1", ChainGrant::Read, Some((Code::UnusedGrant, "Remove `chain`"))),
        ("1", write(), Some((Code::UnusedGrant, "Remove `chain`"))),
        (
            "ctx.neo.head()",
            write(),
            Some((Code::UnusedGrant, "chain = \"read\"")),
        ),
        (
            "ctx.neo.head(ctx.invoke('f'))",
            write(),
            Some((Code::UnusedGrant, "chain = \"read\"")),
        ),
    ];
    for (expression, chain, expected) in cases {
        let source = format!("export const handler = (event, ctx) => {expression};\n");
        let grants = Grants {
            chain,
            ..Grants::default()
        };
        let compiled = compiler()
            .compile(CompileRequest::single(source, grants))
            .await
            .unwrap();
        let found: Vec<_> = compiled
            .warnings
            .iter()
            .map(|d| (d.code, d.hint.clone()))
            .collect();
        match expected {
            None => assert!(found.is_empty(), "{expression}: {found:?}"),
            Some((code, hint)) => {
                assert_eq!(found.len(), 1, "{expression}: {found:?}");
                assert!(
                    found[0].0 == code && found[0].1.contains(hint),
                    "{expression}: {found:?}"
                );
            }
        }
    }
}
