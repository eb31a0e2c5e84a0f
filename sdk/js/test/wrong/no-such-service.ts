import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  return ctx.neo.blockCount(); // wrong
}
