import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  return (await ctx.kv.get<{ n: number }>("k")).n; // wrong
}
