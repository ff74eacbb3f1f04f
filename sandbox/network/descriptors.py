"""Low file descriptors, kept for who needs them: libnftables waits for its socket with select(),
and aborts the whole process when that socket's number is 1024 or more."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_SELECTABLE = 1024
_KEPT = 16


class LowDescriptors:
    """Keeps some numbers below 1024 taken, however many connections and slots there are.

    Not thread-safe; other threads may open and close what they like meanwhile.
    """

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._keep()

    @contextmanager
    def free(self) -> Iterator[None]:
        """What is opened first inside has a low number, else this raises OSError at the end of it:
        then it must not be used, and a later attempt may succeed."""
        kept, self._kept = self._kept, []
        for fd in kept:
            os.close(fd)
        try:
            yield
            # Where low ones abound, one of them was taken; else it was one of ours, or another
            # thread was faster.
            if _lowest() >= _SELECTABLE // 2 and not any(map(_is_netlink, kept)):
                raise OSError(errno.EMFILE, "no low file descriptor is free for nftables")
        finally:
            self._keep()

    def close(self) -> None:
        while self._kept:
            os.close(self._kept.pop())

    def _keep(self) -> None:
        while len(self._kept) < _KEPT:
            fd = os.dup(0)
            if fd >= _SELECTABLE:
                os.close(fd)
                return
            self._kept.append(fd)


def _lowest() -> int:
    """The lowest number that is free."""
    fd = os.dup(0)
    os.close(fd)
    return fd


def _is_netlink(fd: int) -> bool:
    try:
        copy = os.dup(fd)
    except OSError:
        return False
    try:
        with socket.socket(fileno=copy) as one:
            return one.family == socket.AF_NETLINK
    except OSError:
        os.close(copy)
        return False
