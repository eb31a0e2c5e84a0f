import type { Context, NotificationEvent, TransferArgs } from "neofn";

const gas = (datoshi: string) => {
  const digits = datoshi.padStart(9, "0");
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`.replace(/\.?0+$/, "") + " GAS";
};

/** Called once for each transfer of GAS, however often the node is restarted in between. */
export async function handler(event: NotificationEvent<TransferArgs>, ctx: Context) {
  const { from, to, amount } = event.data.args;
  const count = await ctx.kv.increment("transfers");
  // a transfer to nobody burns the GAS
  const balance = to == null ? null : await ctx.neo.balanceOf(to);
  console.log(`#${count}: ${gas(amount)} from ${from ?? "nobody"} to ${to ?? "nobody"} in block ${event.data.block.height}`);
  if (balance !== null) console.log(`${to} now has ${gas(balance)}`);
  return { count, from, to, amount, balance };
}
