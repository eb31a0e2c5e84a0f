// The same handler on workerd: one shared isolate, nothing is reset between requests.
let count = 0;
export default {
  async fetch(request) {
    const event = await request.json();
    count++;
    const result = { greeting: "Hello, " + event.name, sum: event.items.reduce((a, b) => a + b, 0), count };
    return Response.json({ success: true, result });
  },
};
