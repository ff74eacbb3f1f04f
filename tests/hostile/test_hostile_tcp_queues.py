"""One byte that waits in a TCP queue may hold 32 KB of the host, which no limit of a run counts.
When the host runs out of memory so, whoever holds more of it than its limit is killed."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator

import pytest
from attempts import PRELUDE, TCP_PAGES, attempt
from held_pages import LOST_BYTES, hold_pages_at_the_api
from ordinary import AnyBox
from sealed import HOSTILE_UID, Box, opened_box, wait_until

from sandbox import ApiRelay, HostConfig
from sandbox.relief import Bounds, Relief

MEMORY_BYTES = 48 << 20
UNACCOUNTED_BYTES = 96 << 20
# Any host has less than this.
NONE_TO_SPARE = 1 << 60
FILL = """
import select
def fill(s):
    # What is sent from now on waits here, whatever the other end does.
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    while select.select([], [s], [], 0.1)[1] and tried(lambda: s.send(bytes(4096))) == 0:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200000)
def shut_all():
    pass
"""
HOARD = """
pages = 0
for sender in senders:
    sender.setblocking(False)
    for _ in range(600):
        if tried(lambda: sender.send(b"x")):
            break
        pages += 1
        use_up_the_page()
shut_all()
print(f"{pages} pages", flush=True)
signal.pause()
"""
PLACES = {
    "received from itself": """
kept = [pair() for _ in range(20)]
senders = [near for near, _ in kept]
""",
    "received, and both ends are shut": """
kept = [pair() for _ in range(20)]
senders = [near for near, _ in kept]
def shut_all():
    for near, far in kept:
        near.close()
        far.shutdown(socket.SHUT_WR)
""",
    "not sent yet, to the API": """
senders = [socket.create_connection(("198.18.0.1", 8000)) for _ in range(10)]
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
def one_host(deaf_api: int) -> Iterator[Box]:
    config = HostConfig(
        name=f"queues-{os.getpid()}",
        api=ApiRelay("127.0.0.1", deaf_api),
        slots=4,
        ready_slots=2,
        first_uid=HOSTILE_UID + 60,
    )
    with opened_box(config) as box:
        yield box


@pytest.mark.parametrize("place", PLACES)
def test_who_holds_the_hosts_memory_by_single_bytes_is_killed(one_host: Box, place: str) -> None:
    """Its neighbour, which is slow to read, is not."""
    neighbour = one_host.start(
        PRELUDE
        + TCP_PAGES
        + """
kept = pair()
kept[0].send(bytes(20000))
print("waits", flush=True)
signal.pause()
"""
    )
    neighbour.wait_for("waits")
    relief = Relief(one_host.host._started, Bounds(NONE_TO_SPARE, UNACCOUNTED_BYTES))
    try:
        outcome = one_host.run(
            PRELUDE + TCP_PAGES + FILL + PLACES[place] + HOARD,
            memory_bytes=MEMORY_BYTES,
        ).outcome
    finally:
        relief.close()
    assert outcome.signal == signal.SIGKILL
    assert outcome.oom
    assert outcome.usage.oom_kills == 0  # not by the kernel
    neighbour.sandbox.interrupt()
    assert neighbour.finish().outcome.signal == signal.SIGTERM


@pytest.mark.parametrize(
    "bounds",
    [Bounds(NONE_TO_SPARE, NONE_TO_SPARE), Bounds(0, -NONE_TO_SPARE)],
    ids=["all is accounted for", "there is memory"],
)
def test_nobody_is_killed_who_took_nothing_from_anybody(one_host: Box, bounds: Bounds) -> None:
    looked = 0

    def running() -> list[object]:
        nonlocal looked
        looked += 1
        return []

    relief = Relief(one_host.host._started, bounds)
    always = Relief(running, Bounds(NONE_TO_SPARE, -NONE_TO_SPARE))  # type: ignore[arg-type]
    try:
        live = one_host.start(
            PRELUDE
            + TCP_PAGES
            + """
kept = [pair() for _ in range(10)]
for near, _ in kept:
    near.send(bytes(20000))
print("waits", flush=True)
signal.pause()
""",
            memory_bytes=MEMORY_BYTES,
        )
        live.wait_for("waits")
        assert live.sandbox.socket_bytes() > 20000
        before = looked
        wait_until(lambda: looked > before + 3, "the threads look some more times")
    finally:
        relief.close()
        always.close()
    live.sandbox.interrupt()
    assert live.finish().outcome.signal == signal.SIGTERM


def test_what_waits_for_the_relay_is_no_page_of_the_program(one_host: Box) -> None:
    netd_pid = one_host.host.netd_pid
    os.kill(netd_pid, signal.SIGSTOP)  # as when the API reads nothing for a while
    try:
        assert hold_pages_at_the_api(one_host) < LOST_BYTES
    finally:
        os.kill(netd_pid, signal.SIGCONT)


def test_pages_do_not_leave_tcp_but_by_being_read(any_box: AnyBox) -> None:
    """To a pipe, and on to a UNIX socket, they went as they were, and out of the count of TCP."""
    result = attempt(
        any_box,
        """
near, far = socket.socketpair(socket.AF_UNIX)
near.send(b"xy")
out, into = os.pipe()
other, last = os.pipe()
os.write(into, b"xy")
tee = ctypes.CDLL(None, use_errno=True).tee
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
say([tried(lambda: os.splice(far.fileno(), into, 1)),
     tried(lambda: os.splice(out, near.fileno(), 1)),
     call(tee, out, last, 1, 0),
     tried(lambda: client.getsockopt(socket.IPPROTO_TCP, 35, 64)),
     tried(lambda: client.setsockopt(socket.IPPROTO_TCP, 31, b"tls"))])
""",
    )
    assert result.seen == [errno.EINVAL] * 4 + [errno.ENOENT]
