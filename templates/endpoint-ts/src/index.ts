import type { Context, HttpEvent, HttpResponse } from "neofn";

const json = (statusCode: number, value: unknown): HttpResponse => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});

export async function handler(event: HttpEvent, ctx: Context): Promise<HttpResponse> {
  const [, collection, id] = event.path.split("/");
  if (collection !== "notes") return json(404, { error: "try /notes" });

  if (event.method === "GET" && !id) {
    const { entries } = await ctx.kv.list<string>({ prefix: "note/" });
    return json(200, entries.map(({ key, value }) => ({ id: key.slice("note/".length), text: value })));
  }
  if (!id) return json(400, { error: "name the note: /notes/ID" });

  switch (event.method) {
    case "GET": {
      const text = await ctx.kv.get<string>(`note/${id}`);
      return text === null ? json(404, { error: "no such note" }) : json(200, { id, text });
    }
    case "PUT":
      await ctx.kv.put(`note/${id}`, event.body);
      return json(201, { id, text: event.body });
    case "DELETE":
      return json((await ctx.kv.delete(`note/${id}`)) ? 200 : 404, { id });
    default:
      return json(405, { error: `${event.method} does nothing here` });
  }
}
