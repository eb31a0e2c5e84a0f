//! Where a failure happened, through compiler, engine and map: the line marked `// HERE` in the user's own source.

use crate::{call, deploy, options};
use neofn_node::Node;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// A name, the function at the top of the stack, its column, and the source.
type Case = (&'static str, &'static str, u32, &'static str);

const CASES: &[Case] = &[
    (
        "rejected-host-call",
        "handler",
        0,
        "export async function handler(e, ctx) {\n  const a = await ctx.kv?.missing;\n  return await ctx.invoke('no-such-function', a); // HERE\n}\n",
    ),
    (
        "property",
        "handler",
        17,
        "export function handler(e) {\n  return e.gone.x; // HERE\n}\n",
    ),
    (
        "letters-of-many-bytes",
        "handler",
        17,
        "export function handler(e) {\n  console.log('grüße 👋 漢字漢字漢字漢字漢字');\n  const a = e.b;\n  return e.gone(a); // HERE\n}\n",
    ),
    (
        "method",
        "transfer",
        0,
        "class Wallet {\n  constructor(c) { this.c = c; }\n  balance() { return this.c.x; }\n  transfer() {\n    return this.account.id; // HERE\n  }\n}\nexport const handler = (e) => {\n  const w = new Wallet(e);\n  return w.transfer();\n};\n",
    ),
    (
        "pattern",
        "handler",
        0,
        "export function handler(e) {\n  console.log('start');\n  const { a } = e.missing; // HERE\n  return a;\n}\n",
    ),
    (
        "nested-pattern",
        "handler",
        0,
        "export function handler(e) {\n  console.log('start');\n  const { a: { b } } = e; // HERE\n  return b;\n}\n",
    ),
    (
        "null",
        "handler",
        0,
        "export function handler() {\n  const v = null;\n  return v.x; // HERE\n}\n",
    ),
    (
        "undefined-constant",
        "handler",
        0,
        "export function handler() {\n  const v = undefined;\n  console.log('a');\n  return v.x.y; // HERE\n}\n",
    ),
    (
        "template",
        "handler",
        0,
        "export function handler(e) {\n  return `a\n  b ${e.name}\n  c ${e.gone.x}`; // HERE\n}\n",
    ),
    (
        "call-of-nothing",
        "handler",
        0,
        "export function handler(e) {\n  const x = 1;\n  e.run(x); // HERE\n  return x;\n}\n",
    ),
    (
        "chain-over-lines",
        "handler",
        0,
        "export function handler(e) {\n  return [1, 2]\n    .map((x) => x + 1)\n    .gone() // HERE\n    .x;\n}\n",
    ),
    (
        "throw",
        "check",
        0,
        "function check(n) {\n  if (n > 1) {\n    console.log(n);\n    throw new Error('large'); // HERE\n  }\n}\nexport function handler() { check(5); return 1; }\n",
    ),
    (
        "throw-after-statements",
        "handler",
        0,
        "export function handler(e) {\n  e.a = 1;\n  e.b = 2;\n  console.log(e);\n  e.c.d = 3; // HERE\n  e.e = 4;\n  return e;\n}\n",
    ),
    (
        "condition",
        "handler",
        0,
        "export function handler(e) {\n  let x = 1;\n  if (e.gone.x) { // HERE\n    x = 2;\n  } else {\n    x = 3;\n  }\n  return x;\n}\n",
    ),
    (
        "loop",
        "handler",
        0,
        "export function handler(e) {\n  let sum = 0;\n  for (const x of [1, 2]) {\n    sum += x;\n    sum += e.gone.x; // HERE\n  }\n  return sum;\n}\n",
    ),
    (
        "iterate-nothing",
        "handler",
        0,
        "export function handler(e) {\n  let sum = 0;\n  for (const x of e.gone) { // HERE\n    sum += x;\n  }\n  return sum;\n}\n",
    ),
    (
        "spread",
        "handler",
        0,
        "export function handler(e) {\n  const a = 1;\n  const all = [...e.gone]; // HERE\n  return all.length + a;\n}\n",
    ),
    (
        "unknown-name",
        "handler",
        0,
        "export function handler(e) {\n  console.log(e);\n  return nope; // HERE\n}\n",
    ),
    (
        "awaited",
        "load",
        0,
        "async function load(e) {\n  await null;\n  const x: number = e.a.b; // HERE\n  return x;\n}\nexport async function handler(e) {\n  const y = await load(e);\n  return y;\n}\n",
    ),
    (
        "arrow-in-object",
        "run",
        0,
        "const table = {\n  name: 'x',\n  run: (e) => {\n    console.log(1);\n    return e.gone.x; // HERE\n  },\n};\nexport const handler = (e) => table.run(e);\n",
    ),
    (
        "getter",
        "get size",
        0,
        "class Box {\n  constructor(e) { this.e = e; }\n  get size() {\n    return this.e.gone.size; // HERE\n  }\n}\nexport const handler = (e) => new Box(e).size;\n",
    ),
    (
        "private-field",
        "read",
        0,
        "class Box {\n  #inner = null;\n  read() {\n    return this.#inner.x; // HERE\n  }\n}\nexport const handler = () => new Box().read();\n",
    ),
    (
        "types-around",
        "pick",
        0,
        "interface A { x: number }\ntype B = A | null;\n\nfunction pick(b: B): number {\n  return (b as A).x; // HERE\n}\n\nexport function handler(): number {\n  return pick(null);\n}\n",
    ),
    (
        "enum-before",
        "handler",
        0,
        "enum Colour { Red, Green }\nexport function handler(e: any) {\n  const c = Colour.Green;\n  return e.list[c].name; // HERE\n}\n",
    ),
    (
        "json",
        "handler",
        0,
        "export function handler() {\n  const text = '{';\n  const v = JSON.parse(text); // HERE\n  return v;\n}\n",
    ),
    (
        "big-integer",
        "handler",
        0,
        "export function handler() {\n  const a = 1n;\n  const b = 0n;\n  return String(a / b); // HERE\n}\n",
    ),
    (
        "one-of-many-arguments",
        "handler",
        0,
        "export function handler(e) {\n  return Math.max(\n    1,\n    e.a,\n    e.gone.x, // HERE\n  );\n}\n",
    ),
    (
        "object-literal",
        "handler",
        0,
        "export function handler(e) {\n  return {\n    a: 1,\n    b: e.gone.x, // HERE\n  };\n}\n",
    ),
    (
        "ternary-over-lines",
        "handler",
        0,
        "export function handler(e) {\n  return e\n    ? e.gone.x // HERE\n    : null;\n}\n",
    ),
    (
        "switch",
        "handler",
        0,
        "export function handler(e) {\n  switch (e.n) {\n    case 1: return 1;\n    default:\n      console.log('x');\n      return e.gone.x; // HERE\n  }\n}\n",
    ),
    (
        "try-finally",
        "handler",
        0,
        "export function handler(e) {\n  try {\n    console.log('a');\n    e.gone.x(); // HERE\n  } finally {\n    console.log('b');\n  }\n}\n",
    ),
    (
        "default-function",
        "default",
        0,
        "export default function (e) {\n  return e.gone.x; // HERE\n}\n",
    ),
    (
        "default-arrow",
        "default",
        0,
        "export default (e) => {\n  return e.gone.x; // HERE\n};\n",
    ),
    (
        "default-named",
        "serve",
        0,
        "export default function serve(e) {\n  return e.gone.x; // HERE\n}\n",
    ),
    (
        "default-async",
        "default",
        0,
        "export default async (e) => {\n  await null;\n  return e.gone.x; // HERE\n};\n",
    ),
    (
        "main",
        "main",
        0,
        "function main(e) {\n  return e.gone.x; // HERE\n}\n",
    ),
    (
        "renamed",
        "inner",
        0,
        "function inner(e) {\n  return e.gone.x; // HERE\n}\nexport { inner as handler };\n",
    ),
];

pub(crate) async fn stacks_point_at_the_line(dir: PathBuf) {
    let node = Node::start(options(&dir)).await.unwrap();
    let mut wrong = Vec::new();
    for (name, function, column, source) in CASES {
        deploy(&node, name, source).await;
        let (_, answer) = call(&node, &format!("POST /api/v1/functions/demo/{name}"), "{}").await;
        let line = source.lines().position(|l| l.contains("// HERE")).unwrap() + 1;
        let top = answer["stack"][0].as_str().unwrap_or_default().to_owned();
        let expected = format!("at {function} (index.ts:{line}:");
        if !top.starts_with(&expected) || (*column > 0 && top != format!("{expected}{column})")) {
            wrong.push(json!({"case": name, "expected": expected, "stack": answer["stack"], "message": answer["message"]}).to_string());
        }
    }
    assert!(node.drain(Duration::from_secs(20)).await);
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        CASES.len(),
        wrong.join("\n")
    );
}
