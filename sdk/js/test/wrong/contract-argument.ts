import type { Context } from "neofn";

export const handler = (_event: null, ctx: Context) =>
  ctx.neo.contract("GAS").read("balanceOf", () => "N"); // wrong: a function is no argument
