import type { Address, BlockEvent, Context, CronEvent, ExecutionEvent, NotificationEvent, ReceivedEvent, TransferArgs } from "neofn";

export async function handler(event: NotificationEvent<TransferArgs>, ctx: Context) {
  const { from, to, amount } = event.data.args;
  const whole: bigint = BigInt(amount) / 100_000_000n;
  const { neo } = ctx;
  const height: number = (await neo.blockCount()) - 1;
  const block = await neo.block(height);
  const [first] = block.transactions;
  if (first) {
    const { executions } = await neo.applicationLog(first.hash);
    for (const said of executions[0]?.notifications ?? []) console.log(said.name, said.state[0]?.type);
    console.log((await neo.decode((await neo.transaction(first.hash)).script)).calls[0]?.method);
  }
  const gas = neo.contract("GAS");
  const [symbol, balance] = await Promise.all([gas.read<string>("symbol"), neo.balanceOf(to ?? "")]);
  const tried = await gas.call<boolean>("transfer", from, to, 10n ** 18n, new Uint8Array(3));
  const sent = tried.result ? await gas.invoke("transfer", from, to, 1, { type: "String", value: "x" }) : null;
  const other = await neo.invoke("GAS", "transfer", [from, to, amount, null], { gas: "0.1", confirm: true });
  await neo.invoke({ contract: "GAS", method: "transfer", args: [new Map([["k", 1n]])], gas: 0.5 });
  const page = await neo.transfers(to ?? "", { token: "NEO", from: 5 });
  const paid: bigint = page.transfers.reduce((sum, t) => sum + BigInt(t.amount), 0n);
  await ctx.emit("paid", { whole: whole.toString() }, { subject: symbol });
  const { id } = await ctx.emit({ type: "paid", data: { paid: String(paid) } });
  const text: unknown = balance;
  if (neo.isAddress(text)) console.log(neo.toScriptHash(text satisfies Address));
  return { ok: neo.verifySignature("02", "00", "hello", { salt: "ab", format: "classic" }), hash: sent?.hash ?? other.hash, id };
}

export const block = (event: BlockEvent) => event.data.block.height;
export const executed = (event: ExecutionEvent) => event.data.execution.state === "FAULT" && event.data.transaction.sender;
export const cron = (event: CronEvent<{ job: string }>) => event.data.job + event.id;
export const plain = (event: CronEvent) => event.time;
export const received = (event: ReceivedEvent<{ order: number }>) => event.data.order;
