import type { NotificationEvent } from "neofn";

export async function handler(event: NotificationEvent<{ amount: string }>) {
  return event.data.args.amount * 2; // wrong
}
