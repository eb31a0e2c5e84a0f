"""grpcio over TLS: the node's certificate counts, and nothing goes in the clear. Environment: GRPC, KEY, CA."""

import os
import sys

import grpc

sys.path.insert(0, os.environ["EXAMPLE"])
import client  # noqa: E402

port = os.environ["GRPC"].rpartition(":")[2]
with open(os.environ["CA"], "rb") as file:
    trusted = grpc.ssl_channel_credentials(file.read())


def echo(channel):
    return client.execute(channel, "demo/echo", {"n": 1}, os.environ["KEY"], timeout=10)


with grpc.secure_channel(f"localhost:{port}", trusted) as channel:
    assert echo(channel)["data"] == {"n": 1}
for channel in [
    grpc.insecure_channel(f"localhost:{port}"),
    grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials()),
    # the certificate is for localhost alone
    grpc.secure_channel(f"127.0.0.1:{port}", trusted),
]:
    try:
        echo(channel)
        sys.exit("a channel that should not have worked did")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
print("tls ok")
