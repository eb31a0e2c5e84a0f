import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  return (await fetch("https://example.org", { method: "POST", body: { name: event.name } })).status; // wrong
}
