/**
 * @param {{ name?: string } | null} event
 * @param {import("neofn").Context} ctx
 */
export async function handler(event, ctx) {
  const name = event?.name ?? "World";
  console.log("greeting", name);
  return { greeting: `Hello, ${name}`, version: ctx.version };
}
