import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  await ctx.kv.put("k", undefined); // wrong
}
