"""The CloudEvents SDK of Python calls a function in every mode of HTTP, and publishes to a trigger.

Environment: URL, KEY."""

import json
import os
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

URL, KEY = os.environ["URL"], os.environ["KEY"]


def post(path, message, expected=200):
    headers = {**message.headers, "authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(URL + path, data=message.body, headers=headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == expected, answer.status
        return json.load(answer)


traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
attributes = {
    "id": "ü-1", "source": "/python sdk".replace(" ", "%20"), "type": "order.created", "subject": "Käse \"%20\"",
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "datacontenttype": "application/json",
    "traceparent": traceparent, "tenant": "acme",
}
event = CloudEvent(attributes, {"total": 12, "items": ["é"]})
expected = {
    "specversion": "1.0", "id": "ü-1", "source": "/python%20sdk", "type": "order.created",
    "subject": "Käse \"%20\"", "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
    "tenant": "acme", "traceparent": traceparent, "data": {"total": 12, "items": ["é"]},
}
for mode in [http.to_structured, http.to_binary]:
    result = post("/api/v1/functions/demo/echo", mode(event, JSONFormat()))["result"]
    result["time"] = result["time"].replace("+00:00", "Z")
    assert result == expected, result
    # and back: what the function returned is an event that the SDK reads
    message = http.HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(result).encode())
    back = http.from_structured(message, JSONFormat(), CloudEvent)
    assert back.get_attributes() == event.get_attributes() and back.get_data() == event.get_data()

published = post("/api/v1/events?project=demo", http.to_binary(event, JSONFormat()), 202)
assert len(published["events"][0]["deliveries"]) == 1, published
again = post("/api/v1/events?project=demo", http.to_structured(event, JSONFormat()), 202)
assert again["events"][0]["deliveries"][0]["duplicate"], again
print("python sdk ok")
