import type { Context, NotificationEvent, TransferArgs } from "neofn";

export const handler = (event: NotificationEvent<TransferArgs>, _ctx: Context) =>
  event.data.args.amount * 2; // wrong: a decimal string
