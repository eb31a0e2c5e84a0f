"""Runs a function over gRPC: client.py ADDRESS [PROJECT/]FUNCTION [JSON], with the key in NEOFN_API_KEY.

Needs grpcio, grpcio-tools and grpcio-status. The stubs are made from the definition as the program starts;
`python -m grpc_tools.protoc` writes them to files instead.
"""

import json
import os
import sys
import uuid
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, str(Path(__file__).parents[2] / "crates/neofn-grpc/proto"))
events, _ = grpc.protos_and_services("neofn/v1/cloudevents.proto")
functions, services = grpc.protos_and_services("neofn/v1/functions.proto")


def event(data):
    """A CloudEvent around `data`."""
    made = events.CloudEvent(
        id=str(uuid.uuid4()), source="/examples/grpc-python", spec_version="1.0", type="example.call"
    )
    made.attributes["datacontenttype"].ce_string = "application/json"
    made.text_data = json.dumps(data)
    return made


def execute(channel, name, data, key=None, timeout=35):
    """What the function returned. Raises RuntimeError when it failed, grpc.RpcError when it did not run."""
    metadata = [("authorization", f"Bearer {key}")] if key else []
    answer = services.FunctionServiceStub(channel).ExecuteFunction(
        functions.ExecuteFunctionRequest(name=name, event=event(data)), metadata=metadata, timeout=timeout
    )
    if answer.WhichOneof("result") == "error":
        raise RuntimeError(answer.error)
    return json.loads(answer.data)


def code(error):
    """The code of a refusal, such as NF0301; None when it is not neofn's."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "neofn":
            return info.reason
    return None


def main():
    address, name, *data = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        try:
            print(json.dumps(execute(channel, name, json.loads(*data or ["null"]), os.environ.get("NEOFN_API_KEY"))))
        except RuntimeError as error:
            sys.exit(f"the function failed: {error}")
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
