"""How many of the host's pages the bytes in TCP queues may hold, by the kernel's sock_diag(7).

What a program sends is copied into pages of 32 KB, which nothing counts; only the bytes are, and
what describes them. A byte that waits somewhere holds its whole page.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.network.netlink import Netlink, attributes

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; any socket
_MEMORY = 7  # INET_DIAG_SKMEMINFO
# Connections, whether their programs have them yet, or still: neither TIME_WAIT nor LISTEN, whose
# figures mean something else.
_STATES = sum(1 << state for state in (1, 2, 4, 5, 8, 9, 11))
_PORTS_AT, _QUEUES_AT, _ATTRIBUTES_AT = 4, 56, 72
_ADDRESSES = struct.Struct("=16s16s")
_RECEIVED, _TO_SEND = 0, 5  # of the memory's nine figures
_MAPPED = bytes(10) + b"\xff\xff"  # an address of IPv4 as one of IPv6

# The least that the kernel counts for a piece of a queue beside its bytes, and the most pages that
# hang on one.
_PIECE_BYTES, _PIECE_PAGES = 512, 17


@dataclass(frozen=True)
class Connection:
    """One end of a connection. `to_send`, `received`: pages that its queues hold, at most."""

    own: bytes
    peer: bytes
    to_send: int
    received: int

    @property
    def is_to_itself(self) -> bool:
        """Whether what it received was sent from the same namespace."""
        return self.own == self.peer or 127 in (self.own[0], self.peer[0])


def connections() -> Iterator[Connection]:
    """Those of the calling thread's network namespace. Raises OSError."""
    with Netlink(_NETLINK_SOCK_DIAG) as diag:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << _MEMORY - 1, _STATES)
            for answer in diag.dump(_SOCK_DIAG_BY_FAMILY, body):
                memory = attributes(answer[_ATTRIBUTES_AT:]).get(_MEMORY)
                if memory is not None:  # else all that is left of it are its numbers
                    yield _connection(answer, struct.unpack("=9I", memory[:36]))


def most_pages(waiting_bytes: int, counted_bytes: int) -> int:
    """Pages that a queue may hold: one for each byte, and a few for each of its pieces."""
    pieces = max(counted_bytes - waiting_bytes, 0) // _PIECE_BYTES + 1
    return min(waiting_bytes, pieces * _PIECE_PAGES)


def _connection(answer: bytes, memory: Sequence[int]) -> Connection:
    own, peer = _ADDRESSES.unpack_from(answer, _PORTS_AT + 4)
    received, to_send = struct.unpack_from("=II", answer, _QUEUES_AT)
    return Connection(
        _address(answer[0], own),
        _address(answer[0], peer),
        most_pages(to_send, memory[_TO_SEND]),
        most_pages(received, memory[_RECEIVED]),
    )


def _address(family: int, found: bytes) -> bytes:
    if family == socket.AF_INET:
        return found[:4]
    return found[12:] if found.startswith(_MAPPED) else found
