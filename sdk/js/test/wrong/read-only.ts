import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  ctx.version = 2; // wrong
}
