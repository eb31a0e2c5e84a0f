import type { Context } from "neofn";

export async function handler(event: { name?: string; by?: number } | null, ctx: Context) {
  const name = event?.name ?? "visits";
  const count = await ctx.kv.increment(`count/${name}`, event?.by ?? 1);
  console.log(name, "is", count);
  return { name, count };
}
