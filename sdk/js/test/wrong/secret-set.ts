import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  await ctx.secrets.set("API_KEY", event.name); // wrong
}
