"""One byte that waits in a TCP queue may hold 32 KB of the host, which no limit of a run counts. On
a host that has no memory to spare, whoever holds more of it than its limit is killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest
from attempts import PRELUDE
from sealed import HOSTILE_UID, Box

from sandbox import ApiRelay, Host, HostConfig
from sandbox.network import tcp_queues

MEMORY_BYTES = 48 << 20
PAIRS = """
import select
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far
def fill(s):
    # What is sent from now on waits here, whatever the other end does.
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    while select.select([], [s], [], 0.1)[1] and tried(lambda: s.send(bytes(4096))) == 0:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200000)
near, far = pair()
def use_up_the_page():
    near.send(bytes(32767))
    taken = 0
    while taken < 32767:
        taken += len(far.recv(65536))
"""
HOARD = """
pages = 0
for sender in senders:
    sender.setblocking(False)
    for _ in range(400):
        if tried(lambda: sender.send(b"x")):
            break
        pages += 1
        use_up_the_page()
print(f"{pages} pages", flush=True)
signal.pause()
"""
PLACES = {
    "received from itself": """
kept = [pair() for _ in range(20)]
senders = [near for near, _ in kept]
""",
    "not sent to itself": """
kept = [pair() for _ in range(20)]
senders = [near for near, _ in kept]
for sender in senders:
    fill(sender)
""",
    "not sent to the API": """
senders = [socket.create_connection(("198.18.0.1", 8000)) for _ in range(6)]
for sender in senders:
    fill(sender)
""",
}


@pytest.fixture
def deaf_api() -> Iterator[int]:
    """The port of an API that takes connections and reads nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield server.getsockname()[1]


@pytest.fixture
def full_host(deaf_api: int) -> Iterator[Box]:
    """A host that, by its configuration, has no memory to spare at all."""
    config = HostConfig(
        name=f"full-{os.getpid()}",
        api=ApiRelay("127.0.0.1", deaf_api),
        slots=4,
        ready_slots=2,
        first_uid=HOSTILE_UID + 60,
        spare_bytes=1 << 60,
    )
    host = Host.open(config)
    box = Box(host)
    yield box
    box.close()
    host.close()


@pytest.mark.parametrize("place", PLACES)
def test_who_holds_the_hosts_memory_by_single_bytes_is_killed(full_host: Box, place: str) -> None:
    """Its neighbour, which has more bytes on their way than it, is not."""
    neighbour = full_host.start(
        PRELUDE
        + PAIRS
        + """
kept = [pair() for _ in range(4)]
for near, far in kept:
    near.setblocking(False)
    while tried(lambda: near.send(bytes(65536))) == 0:
        pass
print("waits", flush=True)
signal.pause()
""",
        memory_bytes=128 << 20,
    )
    neighbour.wait_for("waits")
    outcome = full_host.run(
        PRELUDE + PAIRS + PLACES[place] + HOARD, memory_bytes=MEMORY_BYTES
    ).outcome
    assert outcome.signal == signal.SIGKILL
    assert outcome.oom
    assert outcome.usage.oom_kills == 0  # not by the kernel
    neighbour.sandbox.interrupt()
    assert neighbour.finish().outcome.signal == signal.SIGTERM


def test_connections_of_this_process() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sender,
        socket.create_connection(listener.getsockname()) as idle,
    ):
        sender.send(b"12345")
        seen = [one for one in tcp_queues.connections() if one.is_to_itself]
        assert idle
    assert sum(one.received for one in seen) >= 5
    assert {one.own for one in seen} >= {bytes([127, 0, 0, 1])}
