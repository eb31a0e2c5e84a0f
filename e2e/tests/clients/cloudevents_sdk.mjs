// The CloudEvents SDK of JavaScript calls a function in every mode of HTTP, and publishes a batch to a trigger.
// Environment: URL, KEY, MODULES (a directory with node_modules).
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { CloudEvent, HTTP, httpTransport, emitterFor, Mode } = createRequire(`${process.env.MODULES}/`)("cloudevents");
const { URL: url, KEY: key } = process.env;

async function post(path, message, expected = 200) {
  const headers = { ...message.headers, authorization: `Bearer ${key}` };
  const answer = await fetch(url + path, { method: "POST", headers, body: message.body });
  const text = await answer.text();
  assert.equal(answer.status, expected, text);
  return JSON.parse(text);
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const event = new CloudEvent({
  id: "js-1", source: "/js-sdk", type: "order.created", subject: "cheese", time: "2026-01-02T03:04:05.678Z",
  datacontenttype: "application/json", traceparent, tenant: "acme", data: { total: 12, items: ["é"] },
});
for (const mode of [HTTP.structured, HTTP.binary]) {
  const { result } = await post("/api/v1/functions/demo/echo", mode(event));
  assert.deepEqual(result, JSON.parse(JSON.stringify(event)));
  // and back: what the function returned is an event that the SDK reads
  const back = HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(result) });
  assert.deepEqual(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(event)));
}
// bytes stay bytes
const bytes = new CloudEvent({ id: "js-2", source: "/js-sdk", type: "t", datacontenttype: "application/octet-stream", data_base64: "AQL/" });
const { result } = await post("/api/v1/functions/demo/echo", HTTP.structured(bytes));
assert.equal(result.data_base64, "AQL/");

// its own emitter, pointed at the public function
const emit = emitterFor(httpTransport(`${url}/api/v1/functions/demo/open`), { mode: Mode.BINARY });
const emitted = await emit(event);
assert.equal(JSON.parse(emitted.body).result.tenant, "acme");

const batch = {
  headers: { "content-type": "application/cloudevents-batch+json" },
  body: JSON.stringify([event, event.cloneWith({ id: "js-3", data: { total: 1 } })]),
};
const published = await post("/api/v1/events?project=demo", batch, 202);
assert.deepEqual(published.events.map((e) => e.deliveries.length), [1, 0]);
const again = await post("/api/v1/events?project=demo", HTTP.binary(event), 202);
assert.equal(again.events[0].deliveries[0].duplicate, true);
console.log("js sdk ok");
