//! The named rules of the validator, each with an example that triggers it and one that does not.
//!
//! The reference page is made from this table, and every example is run by a test.

use neofn_types::{Code, Severity};

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its code in the catalogue, which has cause and cure.
    pub code: Code,
    /// As written in `neofn explain` and the reference: `no-handler`.
    pub name: &'static str,
    /// Whether it stops a deployment.
    pub severity: Severity,
    /// What it looks for.
    pub summary: &'static str,
    /// An `index.ts` that it finds something in. `…` stands for much more of the character before it.
    pub example_bad: &'static str,
    /// The same, as it should be.
    pub example_good: &'static str,
}

const fn error(
    code: Code,
    name: &'static str,
    summary: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Rule {
    Rule {
        code,
        name,
        severity: Severity::Error,
        summary,
        example_bad: bad,
        example_good: good,
    }
}
const fn warning(
    code: Code,
    name: &'static str,
    summary: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Rule {
    Rule {
        code,
        name,
        severity: Severity::Warning,
        summary,
        example_bad: bad,
        example_good: good,
    }
}

/// Severity of a code's rule; what is not a rule is an error.
pub(crate) fn severity(code: Code) -> Severity {
    RULES
        .iter()
        .find(|rule| rule.code == code)
        .map_or(Severity::Error, |rule| rule.severity)
}

/// Every rule, by code.
pub const RULES: &[Rule] = &[
    error(
        Code::Syntax,
        "syntax",
        "The source must be valid JavaScript or TypeScript.",
        "export function handler(event) {\n  return { ok: true };\n",
        "export function handler(event) {\n  return { ok: true };\n}\n",
    ),
    error(
        Code::NoHandler,
        "no-handler",
        "The main file must export `handler` or a default, or define a top-level function `main`.",
        "function hello() {\n  return \"hello\";\n}\nconsole.log(hello());\n",
        "export function handler() {\n  return \"hello\";\n}\n",
    ),
    error(
        Code::TwoHandlers,
        "two-handlers",
        "Only one of `handler`, the default export and a global `main` may exist. A `main` that other code calls is a helper.",
        "export function handler() {\n  return 1;\n}\nexport default function () {\n  return 2;\n}\n",
        "export function handler() {\n  return main();\n}\nfunction main() {\n  return 2;\n}\n",
    ),
    error(
        Code::DynamicImport,
        "dynamic-import",
        "`import()` is refused, in packages too: a version is complete when it is deployed.",
        "export async function handler() {\n  return await import(\"./other.js\");\n}\n",
        "import type { Context } from \"neofn\";\nexport async function handler(event: unknown, ctx: Context) {\n  return event;\n}\n",
    ),
    error(
        Code::ImportOutside,
        "import-outside",
        "Imports must lead to uploaded files: no Node built-ins, no URLs, no absolute paths, nothing above the project.",
        "import { readFileSync } from \"node:fs\";\nexport const handler = () => readFileSync(\"/etc/passwd\");\n",
        "export const handler = () => new TextEncoder().encode(\"text\").length;\n",
    ),
    error(
        Code::WithStatement,
        "with-statement",
        "`with` is refused, in packages too.",
        "export function handler(event) {\n  with (event) {\n    return name;\n  }\n}\n",
        "export function handler(event) {\n  return event.name;\n}\n",
    ),
    error(
        Code::SourceTooLarge,
        "source-too-large",
        "The bundled and minified module may have 1 MiB.",
        "export const handler = () => \"x…\";\n",
        "export const handler = () => \"x\".repeat(2000000).length;\n",
    ),
    error(
        Code::NestedTooDeep,
        "nested-too-deep",
        "The syntax tree may be 3000 nodes deep.",
        "export const handler = () => [[…]];\n",
        "export const handler = () => JSON.parse(\"[[[[]]]]\");\n",
    ),
    error(
        Code::PrivateKeyInSource,
        "private-key-in-source",
        "Private keys: a WIF with a valid checksum, a PEM block, 64 hexadecimal digits under a name such as `privateKey`.",
        "const wif = \"KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\";\nexport const handler = () => wif.length;\n",
        "export const handler = async (event, ctx) => ctx.secrets.get(\"WIF\");\n",
    ),
    warning(
        Code::EvalUsed,
        "eval-used",
        "`eval` and the Function constructor throw at run time.",
        "export const handler = (event) => eval(event.code);\n",
        "const eval2 = { double: (n) => n * 2 };\nexport const handler = (event) => eval2.double(event.n);\n",
    ),
    warning(
        Code::PrototypeWrite,
        "prototype-write",
        "Writing to the prototype of a built-in.",
        "Array.prototype.last = function () {\n  return this[this.length - 1];\n};\nexport const handler = (event) => event.list.last();\n",
        "const last = (list) => list[list.length - 1];\nexport const handler = (event) => last(event.list);\n",
    ),
    warning(
        Code::ProtoAccess,
        "proto-access",
        "Any use of `__proto__`.",
        "export const handler = (event) => event.__proto__ === Object.prototype;\n",
        "export const handler = (event) => Object.getPrototypeOf(event) === Object.prototype;\n",
    ),
    warning(
        Code::SecretInSource,
        "secret-in-source",
        "Strings that look like access tokens, passwords or API keys.",
        "const apiKey = \"q8Zr2LmX0vT5nWc7Yb4KdPf9\";\nexport const handler = () => apiKey.length;\n",
        "const apiKey = \"{{secret:API_KEY}}\";\nexport const handler = () => apiKey.length;\n",
    ),
    warning(
        Code::HeavyRegex,
        "heavy-regex",
        "Repetition inside repetition over the same characters: matching can take exponential time.",
        "export const handler = (event) => /^(\\w+\\s?)*$/.test(event.text);\n",
        "export const handler = (event) => /^\\w+(\\s\\w+)*$/.test(event.text);\n",
    ),
    warning(
        Code::UnusedGrant,
        "unused-grant",
        "A granted service that no file mentions.",
        "// neofn.toml: allow = { kv = true }\nexport const handler = () => 1;\n",
        "// neofn.toml: allow = { kv = true }\nexport const handler = (event, ctx) => ctx.kv.get(\"n\");\n",
    ),
    warning(
        Code::MissingGrant,
        "missing-grant",
        "A service used without its grant: the call will be denied.",
        "export const handler = (event, ctx) => ctx.kv.get(\"n\");\n",
        "export const handler = (event, ctx) => ctx.functionName;\n",
    ),
];
