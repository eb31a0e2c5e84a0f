import type { Context } from "neofn";

export const handler = (_event: null, ctx: Context) =>
  ctx.emit({ data: 1 }); // wrong: an event has a type
