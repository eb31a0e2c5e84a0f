import type { Context } from "neofn";

export async function handler(event: { id: string }, ctx: Context) {
  const handle = await ctx.secrets.get("API_KEY");
  const answer = await fetch(`https://api.example.org/orders/${event.id}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${handle}`, "content-type": "application/json" },
    body: JSON.stringify({ key: "{{secret:OTHER}}" }),
    redirect: "error",
    timeoutMs: 2_000,
  });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText} ${answer.headers.get("retry-after") ?? ""}`);
  const order = (await answer.json()) as { total: number };
  const request = new Request("https://api.example.org", { headers: new Headers([["a", "b"]]) });
  const [name, value] = [...request.headers][0] ?? ["", ""];
  const copy: Uint8Array = await (await ctx.fetch(request)).clone().bytes();
  const { version } = await ctx.secrets.rotate("API_KEY", name + value, { ifVersion: 3 });
  return { total: order.total, bytes: copy.length, version, made: Response.json({ ok: true }, { status: 201 }).status };
}
