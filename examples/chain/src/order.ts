import type { Context } from "neofn";

interface Order {
  items: string[];
}

// Asks another function for every price at once; its units are charged to this run.
export async function handler(order: Order, ctx: Context) {
  const answers = await Promise.all(order.items.map((item) => ctx.invoke<{ price: number }>("price", { item })));
  const total = answers.reduce((sum, { price }) => sum + price, 0);
  console.log(order.items.length, "items cost", total);
  return { total };
}
