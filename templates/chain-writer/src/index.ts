import type { Context } from "neofn";

/** Sends GAS from the node's account: once for each invocation, however often it is tried again. */
export async function handler(event: { to?: string; amount?: string } | null, ctx: Context) {
  const { to, amount = "1000" } = event ?? {};
  if (!ctx.neo.isAddress(to)) return { sent: false, why: "say to whom: {\"to\": \"N…\", \"amount\": \"1000\"}" };
  const from = await ctx.neo.account();
  if (from === null) return { sent: false, why: "this node has no account to send from" };
  // what it would do, before anything is paid
  const balance = await ctx.neo.balanceOf(from);
  if (BigInt(balance) < BigInt(amount)) return { sent: false, why: `${from} has only ${balance} datoshi` };
  const { hash, fee, state } = await ctx.neo.invoke("GAS", "transfer", [from, to, amount, null]);
  console.log("sent", amount, "datoshi to", to, "for a fee of", fee, "in", hash);
  return { sent: true, hash, fee, state };
}
