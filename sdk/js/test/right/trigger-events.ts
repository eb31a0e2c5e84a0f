import type { BlockEvent, CloudEvent, CronEvent, Handler, NotificationEvent, TransactionEvent } from "neofn";

type Transfer = NotificationEvent<{ from: string | null; to: string | null; amount: string }>;

export const handler: Handler<Transfer, string> = (event) => {
  const { args, block, contractName, transaction } = event.data;
  const large = BigInt(args.amount) > 100_000_000n;
  return `${large} ${args.to ?? "burnt"} ${contractName} ${block.height + 1} ${transaction?.sender ?? "block"}`;
};

export function rest(event: BlockEvent | TransactionEvent | CronEvent<{ report: string }> | CloudEvent<{ total: number }>) {
  if (event.type === "neofn.cron") return event.time;
  return event.id;
}

export const batch = (events: Transfer[]) => events.reduce((sum, e) => sum + BigInt(e.data.args.amount), 0n).toString();
