"""A program against what carries its connections to the platform's API."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

from attempts import PRELUDE
from sealed import HOSTILE_UID, Box

from sandbox import ApiRelay, Host, HostConfig

CONNECTIONS = 48


def test_an_api_that_does_not_read_keeps_nothing_in_the_hosts_memory() -> None:
    """A request on a connection that is busy with another was 5 MB of buffers between the two."""
    accepted: list[socket.socket] = []

    def accept(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted.append(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as server:
        thread = threading.Thread(target=accept, args=(server,))
        thread.start()
        config = HostConfig(
            name=f"hostile-sink-{os.getpid()}",
            api=ApiRelay("127.0.0.1", server.getsockname()[1]),
            slots=2,
            ready_slots=1,
            first_uid=HOSTILE_UID + 90,
        )
        host = Host.open(config)
        box = Box(host)
        try:
            result = box.run(PRELUDE + FILL)
        finally:
            box.close()
            host.close()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()
    opened, sent_bytes, own_bytes = result.seen
    assert opened == CONNECTIONS
    # What waits in the program's own sockets counts as its memory.
    assert sent_bytes - own_bytes < CONNECTIONS * (1 << 20)


FILL = f"""
import fcntl, select, termios
poll, socks, sent = select.poll(), {{}}, 0
for _ in range({CONNECTIONS}):
    s = socket.create_connection(("198.18.0.1", 8000))
    s.setblocking(False)
    socks[s.fileno()] = s
    poll.register(s, select.POLLOUT)
# Until nothing more was taken for half a second; each is given up at three megabytes.
taken = dict.fromkeys(socks, 0)
while ready := poll.poll(500):
    for fd, _ in ready:
        try:
            taken[fd] += socks[fd].send(bytes(1 << 16))
        except BlockingIOError:
            continue
        if taken[fd] > 3 << 20:
            poll.unregister(fd)
waiting = [fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)) for fd in socks]
say([len(socks), sum(taken.values()), sum(int.from_bytes(one, "little") for one in waiting)])
"""
