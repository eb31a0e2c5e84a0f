const prices: Record<string, number> = { apple: 3, pear: 4 };

export function handler(event: { item: string }) {
  const price = prices[event.item];
  if (price === undefined) throw new Error(`no price for ${event.item}`);
  return { price };
}
