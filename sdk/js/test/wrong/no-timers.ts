import type { Context } from "neofn";

export async function handler(event: { name: string }, ctx: Context) {
  setTimeout(() => {}, 1); // wrong
}
