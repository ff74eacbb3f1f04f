"""The host's own addresses, which no sandbox may reach, kept current in the router's rules."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import IPv4Address, IPv4Network

from sandbox.network import ruleset
from sandbox.network.nft import Nft
from sandbox.network.rtnetlink import Rtnetlink

_GROUPS = 0x10 | 0x40  # IPv4 addresses and routes: a route may make an address the host's as well
_MAX_BYTES = 65536


class HostAddresses:
    """Follows the namespace of the thread that made it, from `start` to `close`."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._links = Rtnetlink()
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._events.bind((0, _GROUPS))
        self._events.setblocking(False)
        self._current: frozenset[IPv4Network] = frozenset()

    def start(self) -> None:
        """Raises OSError when the rules cannot be changed."""
        self._refresh()
        asyncio.get_running_loop().add_reader(self._events, self._changed)

    def include(self, address: str) -> bool:
        """Whether this is one of them."""
        parsed = IPv4Address(address)
        return any(parsed in network for network in self._current)

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
        own = frozenset(IPv4Network(address) for address in self._links.addresses())
        found = own | frozenset(self._links.local_networks())
        if found != self._current:
            self._nft.run(*ruleset.replace_own(found))
            self._current = found
