//! The HTTP contract from outside: shapes, statuses, credentials, versions, idempotency, async, logs.

mod once;
mod services;
mod shapes;
mod versions;
mod watching;

use serde_json::Value;

const HELLO: &str = "import type { Context } from 'neofn';
export async function handler(event: { name: string }, ctx: Context) {
  console.log('hello', event.name, { n: 1 });
  return { greeting: `Hello, ${event.name}` };
}";

fn iso8601(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}
