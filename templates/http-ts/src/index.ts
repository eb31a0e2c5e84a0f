import type { Context } from "neofn";

export async function handler(event: { name?: string } | null, ctx: Context) {
  const name = event?.name ?? "World";
  console.log("greeting", name);
  return { greeting: `Hello, ${name}`, version: ctx.version };
}
