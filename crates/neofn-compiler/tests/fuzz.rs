//! Damaged sources, many of them: whatever is sent, the answer is a module or a refusal with a place.
//!
//! Seeded; `NEOFN_FUZZ_SEED` and `NEOFN_FUZZ_CASES` repeat a failure or dig longer.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{compiler, project};
use neofn_compiler::CompileError;

const CORPUS: &[&str] = &[
    "import type { Context } from \"neofn\";\nexport async function handler(event: { n: number }, ctx: Context) {\n  for await (const x of [1, 2]) console.log(`${x} ${event?.n ?? 0}`);\n  return { ...event, n: event.n ** 2 };\n}\n",
    "enum A { B = 1 << 2, C = \"x\" as any }\nnamespace N { export const q = A.B }\nabstract class K<T extends object = {}> { #p = 1; static { this.z = 2 } static z: number; get v() { return this.#p } constructor(private readonly w: T) {} }\nexport default class extends K<{}> { override toString() { return super.toString() } }\n",
    "const re = /(?<y>\\d{4})-(?<m>[^\\]\\w]+)*$/giu; label: for (let i = 0, j; i < 10; i++) { if (i & 1) continue label; switch (i) { case 1: default: break label } }\nexport const handler = async () => { try { throw new Error(\"a\") } catch { return re.test('x') } finally { debugger } };\n",
    "export * from './other';\nimport def, * as ns from './other';\nimport json from './data.json' with { type: 'json' };\nexport { ns as \"string name\", def };\nexport function handler({ a = 1, ...rest }, [b, , c] = []) { return a ?? rest?.[b]?.(c) ?? json; }\n",
    "function* g() { const x = yield* [1n, 0x1fn, .5e-7, 0b1, 0o7, 1_000]; delete x.y; void 0; typeof x; }\nvar main = async function () { await using r = null; using s = null; return new.target ? import.meta : g };\n",
    "@dec class D { @dec() m(@dec p: string): asserts p is 'x' { } declare y: number; accessor z = 1 }\nfunction dec(...a: any[]): any {}\ntype M<T> = { readonly [K in keyof T]?: T[K] extends infer U ? U : never };\nexport const handler = <T,>(x: T) => x satisfies unknown as M<T>;\n",
    "module.exports = { handler() { with (this) { eval('1') } } }; var o = { __proto__: null, get a() { return 1 }, set a(v) {}, async *[Symbol.iterator]() {} }; Array.prototype.x = function () { arguments.length = 0 };\n",
    "export const handler = () => \"\\u{1F600} \\x41 \\\n \u{2028} ä 日本 \u{1f468}\u{200d}\u{1f469}\"; // AKIAIOSFODNN7EXAMPLQ KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n",
];
const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "`",
    "${",
    "'",
    "\"",
    "/",
    "/*",
    "*/",
    "//",
    "\\",
    "#",
    "@",
    "=>",
    "...",
    "?.",
    "??=",
    "**",
    "<",
    ">",
    ";",
    ",",
    "\n",
    "\0",
    "\u{feff}",
    "async ",
    "await ",
    "yield ",
    "import ",
    "import(",
    "export ",
    "export default ",
    "class ",
    "function ",
    "enum ",
    "namespace ",
    "declare ",
    "return ",
    "with(",
    "new ",
    "super",
    "import.meta",
    "let ",
    "of ",
    "/(a+)+/",
    "\\u{110000}",
    "\\uD800",
    "0x",
    "1n",
    "999999999999999999999999",
    "require('./other')",
    "from './other'",
    "from './index'",
    "eval(",
    "__proto__",
    "\u{10ffff}",
    "ё",
];

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % below.max(1)
    }
}

fn mutate(random: &mut Random) -> String {
    let mut text: Vec<char> = CORPUS[random.next(CORPUS.len())].chars().collect();
    for _ in 0..=random.next(6) {
        let at = random.next(text.len() + 1);
        let to = (at + random.next(40)).min(text.len());
        match random.next(6) {
            0 => drop(text.drain(at..to)),
            1 => {
                let piece: Vec<char> = text[at..to].to_vec();
                let copies = 1 + random.next(30);
                for _ in 0..copies {
                    text.splice(at..at, piece.iter().copied());
                }
            }
            2 => {
                let other: Vec<char> = CORPUS[random.next(CORPUS.len())].chars().collect();
                let from = random.next(other.len());
                text.splice(at..at, other[from..].iter().copied().take(120));
            }
            3 => text.truncate(at),
            _ => drop(text.splice(at..at, TOKENS[random.next(TOKENS.len())].chars())),
        }
    }
    text.into_iter().collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_sources_are_compiled_or_refused() {
    let seed = setting("NEOFN_FUZZ_SEED", 0x5eed_2026);
    let cases = setting("NEOFN_FUZZ_CASES", 200);
    let compiler = compiler();
    let mut random = Random(seed);
    let (mut compiled, mut refused) = (0, 0);
    for case in 0..cases {
        let (main, other) = (mutate(&mut random), mutate(&mut random));
        let extension = ["ts", "tsx", "js", "mjs", "cjs"][random.next(5)];
        let name = format!("index.{extension}");
        let files = [
            (name.as_str(), main.as_str()),
            ("other.ts", other.as_str()),
            ("data.json", "{\"a\": [1, null]}"),
        ];
        match compiler.compile(project(&name, &files)).await {
            Ok(_) => compiled += 1,
            Err(CompileError::Refused { diagnostics, .. }) => {
                refused += 1;
                for found in diagnostics {
                    assert!(
                        found.file.is_empty() || files.iter().any(|(path, _)| *path == found.file),
                        "{found:#?}"
                    );
                    assert!(
                        found.frame.chars().count() < 1500 && !found.message.is_empty(),
                        "{found:#?}"
                    );
                }
            }
            Err(other) => panic!(
                "seed {seed} case {case}: {other}\n--- {name}\n{main}\n--- other.ts\n{}",
                files[1].1
            ),
        }
    }
    assert!(
        compiled > 0 && refused > 0,
        "{compiled} compiled, {refused} refused: the mutations are no test"
    );
}
