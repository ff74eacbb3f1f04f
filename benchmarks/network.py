"""What the network costs: round trips to the API, and a policy at the start of a run.

All of it in a network namespace of its own, so that the host's rules and routes stay as they are.
The kinds take turns, so that a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from benchmarks.report import Row
from benchmarks.sandbox_overhead import first_byte
from sandbox import (
    ApiRelay,
    Host,
    HostConfig,
    Limits,
    NetworkPolicy,
    Program,
    WorkspaceFile,
)
from sandbox.network import namespaces
from sandbox.network.rtnetlink import Rtnetlink

TARGET_VETH_US = 100.0
ROUNDS = 20
STARTS = 30
ALLOW = NetworkPolicy("allow", ["api.kalshi.com:443", "*.coinbase.com", "203.0.113.0/24"])
ECHO = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(4096):
        connection.sendall(data)
"""
CLIENT = b"""
import socket, statistics, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
taken = []
for _ in range(1000):
    begun = time.perf_counter()
    s.sendall(b"x" * 64)
    s.recv(4096)
    taken.append((time.perf_counter() - begun) * 1e6)
print(statistics.median(taken))
"""
FIRST = b"print('first')\n"


@contextmanager
def echo() -> Iterator[int]:
    """A server that answers with what it gets; its port on loopback."""
    command = ["/usr/bin/python3", "-u", "-c", ECHO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def direct_us(port: int) -> float:
    command = ["/usr/bin/python3", "-c", CLIENT.decode(), "127.0.0.1", str(port)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def boxed_us(host: Host, name: str) -> float:
    program = Program(
        argv=["main.py", "198.18.0.1", "8000"],
        files=[WorkspaceFile("main.py", CLIENT)],
        limits=Limits(cpu_millis=2000),
    )
    sandbox = host.spawn(program, name)
    os.set_blocking(sandbox.stdout_fd, True)
    said = os.read(sandbox.stdout_fd, 100)
    sandbox.finish()
    return float(said)


def start_ms(host: Host, name: str, policy: NetworkPolicy) -> float:
    program = Program(argv=["main.py"], files=[WorkspaceFile("main.py", FIRST)], network=policy)
    begun_s = time.perf_counter()
    sandbox = host.spawn(program, name)
    first_byte(sandbox.stdout_fd)
    taken_ms = (time.perf_counter() - begun_s) * 1000
    sandbox.finish()
    return taken_ms


def rows(rounds: int = ROUNDS, starts: int = STARTS) -> list[Row]:
    """For root: one of the uplinks is root's alone."""
    with ThreadPoolExecutor(max_workers=1, initializer=_enter_new_namespace) as thread:
        return thread.submit(_measure, rounds, starts).result()


def _enter_new_namespace() -> None:
    namespaces.unshare(namespaces.CLONE_NEWNET)
    with Rtnetlink() as links:
        links.bring_up("lo")


def _measure(rounds: int, starts: int) -> list[Row]:
    with ExitStack() as undo:
        port = undo.enter_context(echo())
        hosts = {kind: _opened(undo, kind, port) for kind in ("user", "veth")}
        trips = [
            (direct_us(port), *(boxed_us(host, f"trip-{n}") for host in hosts.values()))
            for n in range(rounds)
        ]
        opened = [
            (
                start_ms(hosts["veth"], f"none-{n}", NetworkPolicy()),
                start_ms(hosts["veth"], f"allow-{n}", ALLOW),
            )
            for n in range(starts)
        ]
        waits = [
            (_take_ms(hosts["veth"], NetworkPolicy()), _take_ms(hosts["veth"], ALLOW))
            for _ in range(starts)
        ]
    direct, user, veth = zip(*trips, strict=True)
    none, allow = zip(*opened, strict=True)
    bare, policy = zip(*waits, strict=True)
    return [
        Row("round trip to the API, direct", direct, "us"),
        Row("round trip to the API, relayed (user uplink)", user, "us"),
        Row("round trip to the API, veth uplink", veth, "us"),
        Row(
            "veth uplink above direct",
            [b - a for a, b in zip(direct, veth, strict=True)],
            "us",
            TARGET_VETH_US,
        ),
        Row("first byte, no network policy", none, "ms"),
        Row("first byte, allow list of three", allow, "ms"),
        Row("taking a ready slot", bare, "ms", 1.0),
        Row("a policy in force, beside the set-up of the run", policy, "ms"),
    ]


def _opened(undo: ExitStack, uplink: str, port: int) -> Host:
    host = Host.open(
        HostConfig(
            name=f"bench-{uplink}-{os.getpid()}",
            api=ApiRelay("127.0.0.1", port),
            uplink=uplink,
        )
    )
    undo.callback(host.close)
    return host


def _take_ms(host: Host, network: NetworkPolicy) -> float:
    """A slot with its policy in force, and nothing else of a start."""
    rules = network.rules()
    pool = host._network
    begun_s = time.perf_counter()
    slot = pool.take(rules)
    pool.wait_opened(slot)
    taken_ms = (time.perf_counter() - begun_s) * 1000
    pool.release(slot)
    pool.refill()
    time.sleep(0.05)  # as between two starts
    return taken_ms


def main() -> None:
    from benchmarks.report import table

    print(table(rows()))


if __name__ == "__main__":
    main()
