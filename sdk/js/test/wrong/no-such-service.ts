import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  return ctx.oracle.price("GAS"); // wrong
}
