"""What a browser does for a gRPC-Web call, with nothing but HTTP/1.1: python browser.py HOST:PORT ORIGIN"""

from __future__ import annotations

import http.client
import struct
import sys

from convserve_proto import open_inference as oip

PATH = f"/{oip.SERVICE}/ServerLive"
TRAILERS = 0x80


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Flag and payload of each length-prefixed frame of a gRPC-Web body."""
    found = []
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        found.append((flag, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def main(address: str, origin: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=10)
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-grpc-web"}
    connection.request("OPTIONS", PATH, headers=asked)
    preflight = connection.getresponse()
    preflight.read()
    print("preflight allowed:", preflight.getheader("access-control-allow-origin") == origin)

    payload = oip.ServerLiveRequest().SerializeToString()
    kind = {"Origin": origin, "Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
    connection.request("POST", PATH, struct.pack(">BI", 0, len(payload)) + payload, kind)
    response = connection.getresponse()
    print("call allowed:", response.getheader("access-control-allow-origin") == origin)
    for flag, content in frames(response.read()):
        if flag & TRAILERS:
            print(
                next(line for line in content.decode().lower().splitlines() if line.startswith("grpc-status")).replace(
                    ":", ": "
                )
            )
        else:
            print("live:", oip.ServerLiveResponse.FromString(content).live)


if __name__ == "__main__":
    main(*sys.argv[1:])
