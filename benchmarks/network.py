"""What the network costs: round trips to the API, and a policy at the start of a run.

All of it in a network namespace of its own, so that the host's rules and routes stay as they are.
The kinds take turns, so that a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Row
from benchmarks.sandbox_overhead import bare_ms, first_byte
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
TARGET_TIMES = 3.0
TARGET_SLOT_MS = 0.5  # nothing, beside a start of 30
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
    return in_own_network(lambda: _measure(rounds, starts))


def in_own_network(measure: Callable[[], list[Row]]) -> list[Row]:
    """In a thread of its own, because `unshare` moves its caller for good."""
    with ThreadPoolExecutor(max_workers=1, initializer=_enter_new_namespace) as thread:
        return thread.submit(measure).result()


@contextmanager
def opened(name: str, uplink: str, port: int) -> Iterator[Host]:
    """A host of this thread's network whose API is `port` of its loopback."""
    host = Host.open(HostConfig(name=name, api=ApiRelay("127.0.0.1", port), uplink=uplink))
    try:
        yield host
    finally:
        host.close()


def _enter_new_namespace() -> None:
    namespaces.unshare(namespaces.CLONE_NEWNET)
    with Rtnetlink() as links:
        links.bring_up("lo")


def _measure(rounds: int, starts: int) -> list[Row]:
    with ExitStack() as undo:
        port = undo.enter_context(echo())
        user, veth = (
            undo.enter_context(opened(f"bench-{kind}-{os.getpid()}", kind, port))
            for kind in ("user", "veth")
        )
        script = Path(undo.enter_context(TemporaryDirectory()), "main.py")
        script.write_bytes(FIRST)
        trips = [
            (direct_us(port), boxed_us(user, f"trip-{n}"), boxed_us(veth, f"trip-{n}"))
            for n in range(rounds)
        ]
        begun = [
            (
                bare_ms(script),
                start_ms(veth, f"none-{n}", NetworkPolicy()),
                start_ms(veth, f"allow-{n}", ALLOW),
            )
            for n in range(starts)
        ]
        waits = [(_take_ms(veth, NetworkPolicy()), _take_ms(veth, ALLOW)) for _ in range(starts)]
    return [*_trip_rows(trips), *_start_rows(begun), *_wait_rows(waits)]


def _trip_rows(trips: Sequence[tuple[float, float, float]]) -> list[Row]:
    direct, user, veth = zip(*trips, strict=True)
    above = [boxed - bare for bare, _, boxed in trips]
    return [
        Row("round trip to the API, direct", direct, "us"),
        Row("round trip to the API, relayed (user uplink)", user, "us"),
        Row("round trip to the API, veth uplink", veth, "us"),
        Row("veth uplink above direct", above, "us", TARGET_VETH_US),
    ]


def _start_rows(begun: Sequence[tuple[float, float, float]]) -> list[Row]:
    bare, none, allow = zip(*begun, strict=True)
    times = [boxed / alone for alone, _, boxed in begun]
    return [
        Row("first byte, bare, in turn with the next two", bare, "ms"),
        Row("first byte, limits and no network", none, "ms"),
        Row("first byte, limits and an allow list of three", allow, "ms"),
        Row("the whole sandbox, times the bare python3 -u", times, "x", TARGET_TIMES),
    ]


def _wait_rows(waits: Sequence[tuple[float, float]]) -> list[Row]:
    taken, in_force = zip(*waits, strict=True)
    return [
        Row("taking a prepared slot", taken, "ms", TARGET_SLOT_MS),
        Row("the policy in force, beside the set-up of the run", in_force, "ms"),
    ]


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
