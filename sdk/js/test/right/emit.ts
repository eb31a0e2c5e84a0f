import type { Context, ReceivedEvent } from "neofn";

export async function handler(event: ReceivedEvent, ctx: Context) {
  await ctx.emit({ ...event, type: "passed" });
  await ctx.emit("passed", "text", { datacontenttype: "text/plain", traceparent: "00-1", tenant: "acme" });
  await ctx.emit({ type: "bytes", datacontenttype: "image/png", data_base64: "AAH/" });
}
