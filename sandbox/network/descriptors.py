"""Low file descriptors, kept for who needs them: libnftables waits for its socket with select(),
and aborts the whole process when that socket's number is 1024 or more."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.network.nft import Nft

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
    def nft(self) -> Iterator[Nft]:
        """An `Nft` for the network namespace of the calling thread, with a low descriptor.

        Raises OSError when none is free; a later attempt may succeed.
        """
        kept, self._kept = self._kept, []
        for fd in kept:
            os.close(fd)
        try:
            made = Nft()
            try:
                is_low = _lowest() < _SELECTABLE // 2 or any(map(_is_netlink, kept))
                # At once: whoever opens something meanwhile must not have them for good.
                self._keep()
                if not is_low:
                    raise OSError(errno.EMFILE, "no low file descriptor is free for nftables")
                yield made
            finally:
                made.close()
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
