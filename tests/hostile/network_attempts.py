"""What hostile programs have in common that are about the network."""

from __future__ import annotations

from network_world import World
from sealed import Box, Result

from sandbox import NetworkPolicy

INTERNET = NetworkPolicy("internet")
TRY = """
import array, errno, json, os, socket, struct, time

def tried(action):
    try:
        result = action()
        return 0 if result is None else result
    except OSError as error:
        return error.errno

def reach(address, port=80, prepare=None, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(3)
        if prepare:
            prepare(s)
        s.connect((address, port))
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return s.recv(200).decode().split("\\n")[-1]

def say(*seen):
    print(json.dumps(seen))

def question(name, kind=1):
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\\0"
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)

def ask(name, kind=1, server="198.18.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(6)
        s.connect((server, 53))
        s.send(question(name, kind))
        data = s.recv(4096)
        return [data[3] & 15, int.from_bytes(data[6:8], "big")]
"""


def attempt(box: Box, source: str, policy: NetworkPolicy = INTERNET) -> Result:
    return box.run(TRY + source, network=policy)


def reached(world: World, *addresses: str) -> list[tuple[str, int]]:
    return [one for one in world.arrived if one[0] in addresses]
