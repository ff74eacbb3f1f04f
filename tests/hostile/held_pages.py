"""A program that means each byte that the API has not read to hold a page of the host."""

from __future__ import annotations

import signal

from attempts import PRELUDE, TCP_PAGES
from sealed import Box

from sandbox.relief import _meminfo, _unaccounted_bytes

# What else happens on a host meanwhile.
LOST_BYTES = 100 << 20


def hold_pages_at_the_api(box: Box) -> int:
    """Of 300 MB in pages, how many bytes the host has not got back while nobody reads."""
    before_bytes = _unaccounted_bytes(_meminfo())
    live = box.start(
        PRELUDE
        + TCP_PAGES
        + """
senders = [socket.create_connection(("198.18.0.1", 8000)) for _ in range(60)]
for sender in senders:
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(160):
    for sender in senders:
        sender.send(b"x")
        use_up_the_page()
print("holds", flush=True)
signal.pause()
""",
        cpu_millis=2000,
    )
    live.wait_for("holds")
    held_bytes = _unaccounted_bytes(_meminfo()) - before_bytes
    live.sandbox.interrupt()
    assert live.finish().outcome.signal == signal.SIGTERM
    return held_bytes
