"""Requests to the kernel by netlink(7), and the attributes that they are made of.

A socket belongs to the network namespace in which it was opened, whatever its thread enters later.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_HEADER = struct.Struct("=IHHII")
_MAX_BYTES = 256 * 1024


class Netlink:
    """A socket of one protocol. Each request raises OSError with the kernel's own number. A context
    manager; not thread-safe."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Everything of a kind."""
        return self.request(kind, _DUMP, body)

    def request(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """The bodies of the answers."""
        self._sequence += 1
        flags |= _REQUEST | _ACK
        header = _HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            for kind_of, sequence, content in _messages(self._socket.recv(_MAX_BYTES)):
                if sequence != self._sequence:
                    continue  # of a request that was given up
                if kind_of == _DONE:
                    return answers
                if kind_of == _ERROR:
                    number = -struct.unpack_from("=i", content)[0]
                    if number:
                        raise OSError(number, f"netlink request: {os.strerror(number)}")
                    return answers
                answers.append(content)


def attribute(kind: int, content: bytes) -> bytes:
    """One, padded."""
    padding = -len(content) % 4
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(padding)


def attributes(data: bytes) -> dict[int, bytes]:
    """The content of each in `data`, by its kind."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind] = data[4:length]
        data = data[length + (-length % 4) :]
    return found


def _messages(data: bytes) -> Sequence[tuple[int, int, bytes]]:
    found = []
    while len(data) >= _HEADER.size:
        length, kind, _, sequence, _ = _HEADER.unpack_from(data)
        found.append((kind, sequence, data[_HEADER.size : length]))
        data = data[length + (-length % 4) :]
    return found
