import type { Context, Handler, HttpEvent, HttpResponse } from "neofn";

interface Account {
  owner: string;
  balance: number;
}

export const handler: Handler<{ name?: string }, { ok: boolean }> = async (event, ctx) => {
  const account = await ctx.kv.get<Account>(`account/${event.name ?? "nobody"}`);
  const value: Account = { owner: "x", balance: (account?.balance ?? 0) + 1 };
  await ctx.kv.put("account/x", value, { ifRevision: null, ttlMs: 1_000 });
  const held = await ctx.kv.getWithRevision<Account>("account/x");
  if (held?.revision) await ctx.kv.delete("account/x", { ifRevision: held.revision });
  const page = await ctx.kv.list<Account>({ prefix: "account/", limit: 10 });
  for (const { key, value } of page.entries) console.log(key, value.balance, page.cursor);
  const [a, b] = await Promise.all([ctx.invoke<{ n: number }>("other", { x: 1 }), ctx.kv.increment("n")]);
  const hash: string = ctx.crypto.sha256("abc");
  const bytes: Uint8Array = ctx.crypto.hash160(new TextEncoder().encode("abc"), "bytes");
  const ok = ctx.crypto.verifySecp256r1("02", "00", "message") || a.n + b + hash.length + bytes.length > 0;
  const url = new URL("https://x.example/a?b=c");
  url.searchParams.append("id", crypto.randomUUID());
  return { ok: ok && structuredClone(url.href) === atob(btoa(url.toString())) };
};

export default async function serve(event: HttpEvent, ctx: Context): Promise<HttpResponse> {
  return { statusCode: event.method === "GET" ? 200 : 405, headers: { "x-version": ctx.version }, body: event.path };
}
