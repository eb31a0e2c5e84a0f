import type { BlockEvent, Context, HostError, SentTransaction } from "neofn";

/** Claim when what has accrued is worth so many times the fee. */
const WORTH = 2n;

/** Datoshi as GAS. */
const inGas = (datoshi: bigint) => `${datoshi / 100_000_000n}.${String(datoshi % 100_000_000n).padStart(8, "0")}`;

/**
 * NEO earns GAS, which is paid out when the account's NEO moves. Reads what has accrued, decides whether that is worth
 * a transaction, and moves one NEO from the account to itself.
 */
export async function handler(event: BlockEvent | { test: true }, ctx: Context) {
  if ("test" in event) return { claimed: false, why: "a test at deployment claims nothing" };
  const account = await ctx.neo.account();
  if (account === null) return { claimed: false, why: "this node has no account" };
  const neo = ctx.neo.contract("NEO");
  const { height } = event.data.block;
  const [held, accrued] = await Promise.all([
    neo.read<string>("balanceOf", account),
    neo.read<string>("unclaimedGas", account, height + 1),
  ]);
  if (held === "0") return { claimed: false, why: `${account} holds no NEO` };
  // a transaction may wait for some blocks, and must not be sent twice for the same GAS
  const last = (await ctx.kv.get<number>("claimed-at")) ?? -1;
  if (height - last < 10) return { claimed: false, why: `claimed at ${last}` };
  // the node builds the transaction, knows what it costs to the last datoshi, and sends none that costs more than this
  const most = BigInt(accrued) / WORTH;
  if (most === 0n) return { claimed: false, accrued, why: "nothing has accrued" };
  let sent: SentTransaction;
  try {
    const args = [account, account, 1, null];
    sent = await ctx.neo.invoke({ contract: "NEO", method: "transfer", args, gas: inGas(most) });
  } catch (error) {
    if ((error as HostError).code !== "NF0823") throw error;
    return { claimed: false, accrued, why: "not worth the fee yet" };
  }
  const { hash, fee } = sent;
  await ctx.kv.put("claimed-at", height);
  await ctx.emit("compound.claimed", { account, accrued, fee }, { subject: account });
  console.log(`claimed ${accrued} datoshi for a fee of ${fee} in ${hash}`);
  return { claimed: true, accrued, fee, hash };
}
