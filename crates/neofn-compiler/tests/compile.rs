//! What is compiled, and what comes out.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{codes, compile, compiler, project, refusal};
use neofn_compiler::CompileRequest;
use neofn_compiler::source_map::SourceMap;
use neofn_types::Grants;

const HELLO: &str = r#"import type { Context } from "neofn";
interface Event { name: string }
enum Mood { Good = 1, Bad }
export async function handler(event: Event, ctx: Context): Promise<{ greeting: string }> {
  if (event.name === "") {
    throw new Error("no name");
  }
  return { greeting: `Hello, ${event.name satisfies string}`, mood: Mood.Good } as never;
}
"#;

#[tokio::test]
async fn one_typescript_file() {
    let out = compile(CompileRequest::single(HELLO, Grants::default())).await;
    assert_eq!(out.exports, ["handler"]);
    assert!(
        out.code.contains("Hello, ") && !out.code.contains("interface"),
        "{}",
        out.code
    );
    assert!(!out.code.contains("sourceMappingURL"), "{}", out.code);
    assert!(out.warnings.is_empty(), "{:#?}", out.warnings);
    assert!(
        !out.source_map.contains("no name"),
        "the map must not hold the source"
    );
    assert!(
        out.code.contains("async function handler("),
        "a stack trace shows it: {}",
        out.code
    );
}

#[tokio::test]
async fn what_is_called_by_name_is_noted() {
    let files = [
        (
            "index.ts",
            "import { more } from './more';
            export async function handler(event: string, ctx: any) {
                await ctx.invoke('b', event); await ctx.invoke(`a`); await ctx.invoke('b');
                await ctx.invoke(event); await ctx.invoke(`x${event}`); await ctx.neo.invoke('no', 'no', []);
                return more(ctx);
            }",
        ),
        (
            "more.ts",
            "export const more = (context: any) => context.invoke('c', null);",
        ),
    ];
    let out = compile(project("index.ts", &files)).await;
    assert_eq!(out.calls, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_place_in_the_bundle_leads_to_the_users_file() {
    let files = [
        (
            "src/index.ts",
            "import { check } from \"./lib/check.js\";\nexport const handler = (event: { n: number }) => check(event.n);\n",
        ),
        (
            "src/lib/check.ts",
            "export function check(n: number): number {\n  if (n < 0) {\n    throw new RangeError(\"negative\");\n  }\n  return n;\n}\n",
        ),
    ];
    let out = compile(project("src/index.ts", &files)).await;
    let map = SourceMap::parse(&out.source_map).unwrap();
    let (line, column) = place_of(&out.code, "RangeError");
    let found = map.lookup(line, column).unwrap();
    assert_eq!((found.file.as_str(), found.line), ("src/lib/check.ts", 3));
    assert!((5..=15).contains(&found.column), "{found:?}");
}

fn place_of(code: &str, what: &str) -> (u32, u32) {
    let at = code.find(what).unwrap();
    let line = code[..at].matches('\n').count() + 1;
    let column = at - code[..at].rfind('\n').map_or(0, |n| n + 1) + 1;
    (u32::try_from(line).unwrap(), u32::try_from(column).unwrap())
}

#[tokio::test]
async fn json_and_packages_by_exports_module_and_main() {
    let files = [
        (
            "index.ts",
            "import data from \"./data.json\";\nimport { a } from \"by-exports/sub\";\nimport b from \"by-module\";\nimport c from \"by-main\";\nimport d from \"@scope/cjs\";\nexport const handler = () => [data.n, a, b, c, d.value];\n",
        ),
        ("data.json", "{\"n\": 42, \"unused\": \"shaken off\"}"),
        (
            "node_modules/by-exports/package.json",
            r#"{"name":"by-exports","exports":{"./sub":{"node":"./no.js","import":"./sub.mjs","default":"./no.js"}}}"#,
        ),
        (
            "node_modules/by-exports/sub.mjs",
            "export const a = \"from exports\"; export const unused = \"shaken off\";",
        ),
        (
            "node_modules/by-module/package.json",
            r#"{"name":"by-module","module":"esm/index.js","main":"no.js","sideEffects":false}"#,
        ),
        (
            "node_modules/by-module/esm/index.js",
            "export default \"from module\";",
        ),
        (
            "node_modules/by-main/package.json",
            r#"{"name":"by-main","main":"./lib/main"}"#,
        ),
        (
            "node_modules/by-main/lib/main.js",
            "module.exports = \"from main\";",
        ),
        ("node_modules/@scope/cjs/package.json", r#"{"name":"@scope/cjs"}"#),
        (
            "node_modules/@scope/cjs/index.js",
            "const other = require('./other'); exports.value = other();",
        ),
        (
            "node_modules/@scope/cjs/other.js",
            "try { require('crypto') } catch (e) {} module.exports = function () { return 'from cjs'; };",
        ),
    ];
    let out = compile(project("index.ts", &files)).await;
    for part in ["42", "from exports", "from module", "from main", "from cjs"] {
        assert!(out.code.contains(part), "{part} in {}", out.code);
    }
    assert!(!out.code.contains("shaken off"), "{}", out.code);
    assert!(!out.code.contains("import"), "{}", out.code);
}

#[tokio::test]
async fn packages_that_ask_for_their_build_get_the_one_for_production() {
    let files = [
        (
            "index.ts",
            "import b from \"b\";\nexport const handler = () => b;\n",
        ),
        ("node_modules/b/package.json", r#"{"name":"b"}"#),
        (
            "node_modules/b/index.js",
            "module.exports = process.env.NODE_ENV === 'production' ? 'the small one' : 'the chatty one';",
        ),
    ];
    let out = compile(project("index.ts", &files)).await;
    assert!(out.code.contains("the small one"), "{}", out.code);
    assert!(!out.code.contains("process"), "{}", out.code);
    assert!(!out.code.contains("chatty"), "{}", out.code);
}

#[tokio::test]
async fn every_form_of_handler() {
    for (source, export) in [
        (
            "export async function handler(event, ctx) { return event; }",
            "handler",
        ),
        ("export const handler = async () => 1;", "handler"),
        ("const run = () => 1;\nexport { run as handler };", "handler"),
        ("export default async (event) => event;", "default"),
        ("export default function handler() { return 1; }", "default"),
        ("export function main() { return 1; }", "main"),
        ("function main() { return 1; }", "main"),
        (
            "async function main(event: unknown) { return helper(event); }\nfunction helper(e: unknown) { return e; }",
            "main",
        ),
        ("const main = () => 1;", "main"),
        ("function main() { return 1; }\nconsole.log(main());", "main"),
    ] {
        let out = compile(CompileRequest::single(source, Grants::default())).await;
        assert_eq!(out.exports, [export], "{source}: {}", out.code);
    }
    let star = [
        ("index.ts", "export * from \"./other\";"),
        ("other.ts", "export const handler = () => 1;"),
    ];
    assert_eq!(compile(project("index.ts", &star)).await.exports, ["handler"]);
    let global = compile(CompileRequest::single(
        "globalThis.main = () => 1;",
        Grants::default(),
    ))
    .await;
    assert!(
        global.exports.is_empty() && global.code.contains("main"),
        "{}",
        global.code
    );
}

#[tokio::test]
async fn no_handler_and_two_handlers_are_named_at_their_place() {
    for (source, code) in [
        ("const a = 1;\nconsole.log(a);", "NF0102"),
        ("", "NF0102"),
        ("module.exports = { handler() { return 1; } };", "NF0102"),
        ("export type handler = string;", "NF0102"),
        ("export function handler() {}\nexport default () => 1;", "NF0103"),
        ("export function handler() {}\nfunction main() {}", "NF0103"),
        (
            "const f = () => 1;\nexport { f as handler, f as default };",
            "NF0103",
        ),
    ] {
        let (_, found) = refusal(CompileRequest::single(source, Grants::default())).await;
        assert_eq!(codes(&found), [code], "{source}: {found:#?}");
        assert_eq!(found[0].file, "index.ts");
        assert!(found[0].line > 0, "{found:#?}");
    }
    let star = [
        ("index.ts", "export * from \"./other\";\nexport default () => 2;"),
        ("other.ts", "export const handler = () => 1;"),
    ];
    let (_, found) = refusal(project("index.ts", &star)).await;
    assert_eq!(codes(&found), ["NF0103"]);
    let star = [
        ("index.ts", "export * from \"./other\";"),
        ("other.ts", "export const hello = () => 1;"),
    ];
    let (_, found) = refusal(project("index.ts", &star)).await;
    assert_eq!(codes(&found), ["NF0102"]);
}

#[tokio::test]
async fn syntax_errors_point_at_the_file_and_the_place() {
    let files = [
        (
            "index.ts",
            "import { f } from \"./lib\";\nexport const handler = () => f();",
        ),
        ("lib.ts", "export function f() {\n  return 1 +;\n}\n"),
    ];
    let (stage, found) = refusal(project("index.ts", &files)).await;
    assert_eq!(stage.as_str(), "validate");
    assert_eq!(
        (
            found[0].code.as_str(),
            found[0].file.as_str(),
            found[0].line,
            found[0].column
        ),
        ("NF0101", "lib.ts", 2, 13)
    );
    assert!(
        found[0].frame.contains("> 2 |   return 1 +;"),
        "{}",
        found[0].frame
    );
    let (_, found) = refusal(CompileRequest::single(
        "export const handler = () => { let a = 1; let a = 2; };",
        Grants::default(),
    ))
    .await;
    assert_eq!(codes(&found), ["NF0101"]);
    let (_, found) = refusal(project(
        "index.ts",
        &[
            (
                "index.ts",
                "import a from \"./a.json\"; export const handler = () => a;",
            ),
            ("a.json", "{\n  \"a\": tru\n}"),
        ],
    ))
    .await;
    assert_eq!(
        (found[0].code.as_str(), found[0].file.as_str(), found[0].line),
        ("NF0101", "a.json", 2)
    );
}

#[tokio::test]
async fn a_name_that_is_not_exported_is_named() {
    let files = [
        (
            "index.ts",
            "import { g } from \"./lib\";\nexport const handler = () => g();",
        ),
        ("lib.ts", "export function f() {}"),
    ];
    let (stage, found) = refusal(project("index.ts", &files)).await;
    assert_eq!(stage.as_str(), "compile");
    assert_eq!(
        (
            found[0].code.as_str(),
            found[0].file.as_str(),
            found[0].line,
            found[0].column
        ),
        ("NF0105", "index.ts", 1, 10),
        "{found:#?}"
    );
}

#[tokio::test]
async fn imports_that_lead_out_are_refused_with_what_to_do() {
    for (import, word) in [
        ("node:fs", "built-in"),
        ("fs", "built-in"),
        ("fs/promises", "built-in"),
        ("https://esm.sh/dayjs", "URL"),
        ("data:text/javascript,export default 1", "URL"),
        ("file:///etc/passwd", "URL"),
        ("/etc/passwd", "absolute"),
        ("/project/index.ts", "absolute"),
        ("../outside", "outside the project"),
        ("./../../etc/passwd", "outside the project"),
        ("./missing", "not among"),
        ("dayjs", "package"),
        ("./style.css", "cannot be imported"),
        ("..\\\\x", "forward slashes"),
        ("", "not a path"),
    ] {
        // used or not
        for used in ["x", "1"] {
            let source = format!("import x from \"{import}\";\nexport const handler = () => {used};");
            let (stage, found) = refusal(project(
                "index.ts",
                &[("index.ts", &source), ("style.css", "a{}")],
            ))
            .await;
            assert_eq!(stage.as_str(), "validate");
            assert_eq!(codes(&found), ["NF0105"], "{import}");
            assert_eq!((found[0].line, found[0].column), (1, 15), "{import}");
            let said = format!("{} {}", found[0].message, found[0].hint);
            assert!(said.contains(word), "{import}: {said}");
        }
    }
    // types vanish, whether they say so or not
    let types = "import { Context, Other } from \"neofn\";\nimport type { T } from \"nowhere\";\nexport type { U } from \"nowhere\";\nexport const handler = (e: Other, ctx: Context): T => 1 as never;";
    compile(CompileRequest::single(types, Grants::default())).await;
}

#[tokio::test]
async fn a_warm_child_serves_the_next_one_and_a_dead_one_is_replaced() {
    let compiler = compiler();
    compiler.warm_up().await.unwrap();
    for _ in 0..3 {
        let out = compiler
            .compile(CompileRequest::single(HELLO, Grants::default()))
            .await
            .unwrap();
        assert_eq!(out.exports, ["handler"]);
    }
}
