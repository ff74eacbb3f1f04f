"""What netd has not read yet of what a program sent is the program's all the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from attempts import PRELUDE
from sealed import HOSTILE_UID, Box

from sandbox import ApiRelay, Host, HostConfig
from sandbox.network import namespaces, tcp_queues
from sandbox.network.tcp_queues import Connection


def connections_in(namespace_fd: int) -> list[Connection]:
    """Asked by a thread of its own, because entering a namespace moves its caller for good."""
    enter: Callable[[], None] = partial(namespaces.enter, namespace_fd, namespaces.CLONE_NEWNET)
    with ThreadPoolExecutor(max_workers=1, initializer=enter) as thread:
        return thread.submit(lambda: list(tcp_queues.connections())).result()


def test_what_the_network_helper_did_not_read_yet_is_counted() -> None:
    with ExitStack() as undo:
        deaf = undo.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = HostConfig(
            name=f"queues-{os.getpid()}",
            api=ApiRelay("127.0.0.1", deaf.getsockname()[1]),
            slots=2,
            ready_slots=1,
            first_uid=HOSTILE_UID + 70,
        )
        host = Host.open(config)
        undo.callback(host.close)
        box = Box(host)
        undo.callback(box.close)
        live = box.start(
            PRELUDE
            + """
import select
s = socket.create_connection(("198.18.0.1", 8000))
s.setblocking(False)
while select.select([], [s], [], 0.5)[1] and tried(lambda: s.send(bytes(65536))) == 0:
    pass
print("full", flush=True)
signal.pause()
"""
        )
        live.wait_for("full")
        ((pages, sandbox),) = host._queued_pages()
        own = connections_in(host._slots[sandbox.run_name].namespace_fd)
    assert sandbox is live.sandbox
    assert [one.received for one in own] == [0]
    assert 0 < own[0].to_send < pages
