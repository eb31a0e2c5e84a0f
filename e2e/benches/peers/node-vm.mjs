// Node with a fresh vm context for each request: what "a sandbox per request" costs without snapshots.
import http from "node:http";
import vm from "node:vm";

const script = new vm.Script(`
let count = 0;
globalThis.handler = (event) => { count++; return { greeting: "Hello, " + event.name, sum: event.items.reduce((a, b) => a + b, 0), count }; };
`);
const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const context = vm.createContext({});
    script.runInContext(context);
    const result = context.handler(JSON.parse(Buffer.concat(chunks)));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ success: true, result }));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
