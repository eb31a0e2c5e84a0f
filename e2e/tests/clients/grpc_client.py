"""grpcio against a node: reflection, health, every call, rich errors, deadlines, cancellation, streams.

Environment: GRPC, URL, KEY, EXAMPLE (the directory of examples/grpc-python)."""

import json
import os
import sys
import threading
import time
import urllib.request

import grpc
from google.protobuf import descriptor_pool, message_factory, struct_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

sys.path.insert(0, os.environ["EXAMPLE"])
import client  # noqa: E402

ADDRESS, KEY = os.environ["GRPC"], os.environ["KEY"]
AUTH = [("authorization", f"Bearer {KEY}")]
F = client.functions
channel = grpc.insecure_channel(ADDRESS)
stub = client.services.FunctionServiceStub(channel)


def refused(call, expected, reason=None):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == expected, (error.code(), error.details())
        assert reason is None or client.code(error) == reason, (client.code(error), error.details())
        return error
    raise AssertionError(f"not refused with {expected}")


def detail(error, kind):
    for item in rpc_status.from_call(error).details:
        found = kind()
        if item.Unpack(found):
            return found
    raise AssertionError(f"no {kind}")


# what a stranger sees: services and messages by reflection, health without credentials
database = ProtoReflectionDescriptorDatabase(channel)
services = set(database.get_services())
assert {"neofn.v1.FunctionService", "grpc.health.v1.Health"} <= services, services
pool = descriptor_pool.DescriptorPool(database)
method = pool.FindServiceByName("neofn.v1.FunctionService").FindMethodByName("ExecuteFunction")
request = message_factory.GetMessageClass(method.input_type)(name="demo/echo")
assert request.DESCRIPTOR.fields_by_name["event"].message_type.full_name == "io.cloudevents.v1.CloudEvent"
health = health_pb2_grpc.HealthStub(channel)
for service in ["", "neofn.v1.FunctionService"]:
    answer = health.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
refused(lambda: health.Check(health_pb2.HealthCheckRequest(service="x")), grpc.StatusCode.NOT_FOUND)

# deploy, list, get
echo = F.DeployRequest(name="demo/echo", source="export const handler = (e: unknown) => { console.log('ran'); return e; }")
refused(lambda: stub.Deploy(echo), grpc.StatusCode.UNAUTHENTICATED, "NF0401")
deployed = stub.Deploy(echo, metadata=AUTH)
assert deployed.created and deployed.function.version == 1 and deployed.function.project == "demo"
assert stub.Deploy(echo, metadata=AUTH).unchanged
broken = F.DeployRequest(name="demo/broken", source="export const handler = () => {")
error = refused(lambda: stub.Deploy(broken, metadata=AUTH), grpc.StatusCode.INVALID_ARGUMENT, "NF0101")
assert detail(error, error_details_pb2.BadRequest).field_violations[0].field.startswith("index.ts:1:")
assert detail(error, error_details_pb2.ErrorInfo).metadata["stage"] == "validate"
counted = F.DeployRequest(
    name="demo/shout", source="export const handler = () => { throw new TypeError('no') }", public=True
)
counted.limits.time = "5s"
stub.Deploy(counted, metadata=AUTH)
on = struct_pb2.Struct()
on.update({"event": [{"type": "order.created", "where": "data.total >= 10"}]})
stub.Deploy(F.DeployRequest(name="demo/orders", source="export const handler = (e) => e.data", on=on), metadata=AUTH)
page = stub.ListFunctions(F.ListFunctionsRequest(project="demo", page_size=2), metadata=AUTH)
assert [f.function for f in page.functions] == ["echo", "orders"] and page.next_page_token
for wrong, field in [({"page_size": 0}, "page_size"), ({"page_token": "Not One"}, "page_token")]:
    error = refused(
        lambda: stub.ListFunctions(F.ListFunctionsRequest(project="demo", **wrong), metadata=AUTH),
        grpc.StatusCode.INVALID_ARGUMENT, "NF0317",
    )
    assert detail(error, error_details_pb2.BadRequest).field_violations[0].field == field, error
rest = stub.ListFunctions(
    F.ListFunctionsRequest(project="demo", page_token=page.next_page_token), metadata=AUTH
)
assert [f.function for f in rest.functions] == ["shout"] and not rest.next_page_token
assert stub.GetFunction(F.GetFunctionRequest(name="demo/shout"), metadata=AUTH).public
refused(lambda: stub.GetFunction(F.GetFunctionRequest(name="demo/none"), metadata=AUTH), grpc.StatusCode.NOT_FOUND, "NF0301")

# an event goes through a function as it came: attributes of every type, its trace, its data
event = client.event({"name": "Neo", "n": 12})
event.attributes["time"].ce_timestamp.FromJsonString("2018-04-05T17:31:00.5Z")
event.attributes["subject"].ce_string = "ä \" %"
event.attributes["dataschema"].ce_uri = "https://example.org/schema"
event.attributes["extbool"].ce_boolean = True
event.attributes["extint"].ce_integer = -7
event.attributes["extbytes"].ce_bytes = b"\x00\xff"
event.attributes["exturi"].ce_uri_ref = "//a/b"
traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
event.attributes["traceparent"].ce_string = traceparent
answer, call = stub.ExecuteFunction.with_call(F.ExecuteFunctionRequest(name="demo/echo", event=event), metadata=AUTH)
assert json.loads(answer.data) == {
    "specversion": "1.0", "id": event.id, "source": "/examples/grpc-python", "type": "example.call",
    "subject": "ä \" %", "time": "2018-04-05T17:31:00.5Z", "datacontenttype": "application/json",
    "dataschema": "https://example.org/schema", "extbool": True, "extint": -7, "extbytes": "AP8=",
    "exturi": "//a/b", "traceparent": traceparent, "data": {"name": "Neo", "n": 12},
}, answer.data
said = dict(call.initial_metadata())
assert said["neofn-version"] == "1" and int(said["neofn-units"]) > 10_000 and float(said["neofn-duration-ms"]) > 0
invocation = stub.GetInvocation(F.GetInvocationRequest(id=said["neofn-invocation-id"]), metadata=AUTH)
assert invocation.status == "succeeded" and json.loads(invocation.result)["data"]["name"] == "Neo"
assert invocation.trace_id == traceparent.split("-")[1], invocation
assert list(invocation.logs) == ["[LOG] ran"]
for payload, shown in [
    ({"text_data": "plain"}, {"datacontenttype": "text/plain", "data": "plain"}),
    ({"binary_data": b"\x01\x02"}, {"datacontenttype": "application/octet-stream", "data_base64": "AQI="}),
    ({"binary_data": b'{"a":[1]}'}, {"datacontenttype": "application/json", "data": {"a": [1]}}),
]:
    event = client.events.CloudEvent(id="1", source="/a", spec_version="1.0", type="t", **payload)
    event.attributes["datacontenttype"].ce_string = shown["datacontenttype"]
    answer = stub.ExecuteFunction(F.ExecuteFunctionRequest(name="demo/echo", event=event), metadata=AUTH)
    assert json.loads(answer.data) == {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", **shown}
answer = stub.ExecuteFunction(F.ExecuteFunctionRequest(name="demo/echo"), metadata=AUTH)
assert answer.data == b"null"

# the same key and event answer the same invocation
keyed = AUTH + [("idempotency-key", "once")]
event = F.ExecuteFunctionRequest(name="demo/echo", event=event)
ids = {dict(stub.ExecuteFunction.with_call(event, metadata=keyed)[1].initial_metadata())["neofn-invocation-id"] for _ in range(2)}
assert len(ids) == 1, ids

# a run that fails is an answer; what did not run is a status
assert stub.ExecuteFunction(F.ExecuteFunctionRequest(name="demo/shout")).error == "NF0201: TypeError: no"
refused(lambda: stub.ExecuteFunction(F.ExecuteFunctionRequest(name="demo/echo")), grpc.StatusCode.UNAUTHENTICATED, "NF0401")
for name, status, reason in [
    ("demo/none", grpc.StatusCode.NOT_FOUND, "NF0301"),
    ("none", grpc.StatusCode.NOT_FOUND, "NF0301"),
    ("Demo/Bad Name", grpc.StatusCode.INVALID_ARGUMENT, "NF0311"),
]:
    refused(lambda: stub.ExecuteFunction(F.ExecuteFunctionRequest(name=name), metadata=AUTH), status, reason)
bad = F.ExecuteFunctionRequest(name="demo/echo", event=client.events.CloudEvent(id="1", spec_version="1.0", type="t"))
error = refused(lambda: stub.ExecuteFunction(bad, metadata=AUTH), grpc.StatusCode.INVALID_ARGUMENT, "NF0707")
assert detail(error, error_details_pb2.BadRequest).field_violations[0].field == "source"
large = client.event("x" * (1 << 20))
for size in [1, 3]:
    large.text_data = json.dumps("x" * (size << 20))
    big = F.ExecuteFunctionRequest(name="demo/echo", event=large)
    refused(lambda: stub.ExecuteFunction(big, metadata=AUTH), grpc.StatusCode.RESOURCE_EXHAUSTED, "NF0309")

# published events reach triggers once
order = client.event({"total": 12})
order.type = "order.created"
small = client.event({"total": 2})
small.type = "order.created"
published = stub.PublishEvents(F.PublishEventsRequest(project="demo", events=[order, small]), metadata=AUTH)
assert [len(e.deliveries) for e in published.events] == [1, 0]
again = stub.PublishEvents(F.PublishEventsRequest(project="demo", events=[order]), metadata=AUTH)
assert again.events[0].deliveries[0].duplicate
for _ in range(1000):
    run = stub.GetInvocation(F.GetInvocationRequest(id=published.events[0].deliveries[0].invocation_id), metadata=AUTH)
    if run.status == "succeeded":
        break
    time.sleep(0.01)
assert run.origin == "event" and json.loads(run.result) == {"total": 12}, run

# history and the log; following it sees what runs from here on
runs = stub.ListInvocations(F.ListInvocationsRequest(name="demo/shout", status="failed"), metadata=AUTH)
assert runs.invocations[0].code == "NF0201" and runs.invocations[0].stack
assert [e.code for e in stub.Logs(F.LogsRequest(name="demo/shout"), metadata=AUTH)] == ["NF0201"]
follow = stub.Logs(F.LogsRequest(name="demo/echo", limit=0, follow=True), metadata=AUTH)
follow.initial_metadata()
stub.ExecuteFunction(F.ExecuteFunctionRequest(name="demo/echo"), metadata=AUTH)
assert list(next(follow).lines) == ["[LOG] ran"]
follow.cancel()
late = stub.Logs(F.LogsRequest(name="demo/echo", limit=0, follow=True), metadata=AUTH, timeout=0.3)
refused(lambda: next(late), grpc.StatusCode.DEADLINE_EXCEEDED)

# a deadline and a cancelled call end the run in the sandbox: its one slot is free again
spin = F.DeployRequest(name="demo/spin", source="export const handler = (e) => { while (e) {} return 'done'; }")
spin.limits.concurrency = 1
# left alone it would run for its 30 s
spin.limits.units = 10_000_000_000
stub.Deploy(spin, metadata=AUTH)
looping = F.ExecuteFunctionRequest(name="demo/spin", event=client.event(1))
stopped = F.ExecuteFunctionRequest(name="demo/spin")


def free():
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            answer = stub.ExecuteFunction(stopped, metadata=AUTH)
            assert json.loads(answer.data) == "done"
            return
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
            assert client.code(error) == "NF0303" and detail(error, error_details_pb2.RetryInfo).retry_delay.seconds
            time.sleep(0.01)
    raise AssertionError("the run goes on")


refused(lambda: stub.ExecuteFunction(looping, metadata=AUTH, timeout=0.3), grpc.StatusCode.DEADLINE_EXCEEDED)
free()
call = stub.ExecuteFunction.future(looping, metadata=AUTH)
threading.Timer(0.3, call.cancel).start()
try:
    call.result()
    raise AssertionError("cancelled calls have no result")
except grpc.FutureCancelledError:
    pass
free()
runs = stub.ListInvocations(F.ListInvocationsRequest(name="demo/spin", status="failed"), metadata=AUTH).invocations
assert [run.code for run in runs] == ["NF0222", "NF0222"] and all(run.units > 10_000 for run in runs), runs

# the example, and an old method of no service
assert client.execute(channel, "demo/echo", {"a": 1}, KEY)["data"] == {"a": 1}
unknown = channel.unary_unary("/neofn.v1.FunctionService/Nothing")
refused(lambda: unknown(b""), grpc.StatusCode.UNIMPLEMENTED)
with urllib.request.urlopen(f"{os.environ['URL']}/health") as answer:
    assert json.load(answer)["status"] == "ok"
print("grpcio ok")
