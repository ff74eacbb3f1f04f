"""The host's own addresses, which no sandbox may reach, kept current in the router's rules."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from sandbox.network import ruleset
from sandbox.network.nft import Nft
from sandbox.network.rtnetlink import Rtnetlink

_GROUP_IPV4_ADDRESSES = 0x10
_MAX_BYTES = 65536


class HostAddresses:
    """Follows the namespace of the thread that made it, from `start` to `close`."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._links = Rtnetlink()
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._events.bind((0, _GROUP_IPV4_ADDRESSES))
        self._events.setblocking(False)
        self.current: frozenset[str] = frozenset()

    def start(self) -> None:
        """Raises OSError when the rules cannot be changed."""
        self._refresh()
        asyncio.get_running_loop().add_reader(self._events, self._changed)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._events)
        self._events.close()
        self._links.close()

    def _changed(self) -> None:
        # Its content does not matter, and after an overflow (ENOBUFS) there is none.
        with contextlib.suppress(OSError):
            self._events.recv(_MAX_BYTES)
        self._refresh()

    def _refresh(self) -> None:
        found = frozenset(self._links.addresses())
        if found != self.current:
            self._nft.run(*ruleset.replace_own(found))
            self.current = found
