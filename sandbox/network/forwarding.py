"""The host's packet forwarding, switched on for as long as a veth uplink needs it and no wider.

A reply comes in by the interface of the default route, so forwarding must be on there, which also
makes the host a router for its neighbours. Where it was off, a table of ours, shared by all runners
of the host, drops everything that would newly be forwarded.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from sandbox.network import namespaces
from sandbox.network.nft import Nft
from sandbox.network.rtnetlink import Rtnetlink

PREFIX = "sequp"  # of every uplink's interface on the host
_TABLE = "ip sequence-forwarding"
_GUARD = f"""
table {_TABLE} {{
  set switched {{ type ifname; }}
  chain guard {{
    type filter hook forward priority filter; policy accept
    iifname @switched oifname != "{PREFIX}*" drop
  }}
}}
"""


class Forwarding:
    """One uplink's share in it. Remembers what was switched, because a firewall that is loaded anew
    on the host takes our table away and leaves forwarding on. Each method raises OSError."""

    def __init__(self, nft: Nft, links: Rtnetlink) -> None:
        """Both of the host's own network namespace."""
        self._nft = nft
        self._links = links
        self._switched: set[str] = set()

    def keep_on(self, uplink: str) -> None:
        """Let packets pass between `uplink` and the default routes; repeated, it mends what became
        undone, and steps aside once an operator has switched forwarding on for the whole host."""
        namespaces.set_sysctl(f"net/ipv4/conf/{uplink}/forwarding", 1)
        if _is_on("all"):
            self._switched.clear()
            self._remove_guard()
            return
        self._switched |= self._noted()
        for index in self._links.default_route_links():
            name = socket.if_indextoname(index)
            if not _is_on(name):
                self._switched.add(name)
        if self._switched:
            # The guard first: there is no moment in which others' packets pass.
            self._set_guard()
        for name in self._switched:
            with contextlib.suppress(FileNotFoundError):  # an interface that is gone
                namespaces.set_sysctl(f"net/ipv4/conf/{name}/forwarding", 1)

    def switch_off(self) -> None:
        """Back to how it was, unless the uplink of another runner is there, which then does it."""
        if any(name.startswith(PREFIX) for _, name in socket.if_nameindex()):
            return
        for name in self._switched | self._noted():
            with contextlib.suppress(FileNotFoundError):
                namespaces.set_sysctl(f"net/ipv4/conf/{name}/forwarding", 0)
        self._switched.clear()
        self._remove_guard()

    def _noted(self) -> set[str]:
        return set(self._nft.elements(_TABLE, "switched")) if self._nft.has_table(_TABLE) else set()

    def _set_guard(self) -> None:
        listed = ", ".join(f'"{name}"' for name in sorted(self._switched))
        new = [] if self._nft.has_table(_TABLE) else [_GUARD]
        self._nft.run(*new, f"add element {_TABLE} switched {{ {listed} }}")

    def _remove_guard(self) -> None:
        if self._nft.has_table(_TABLE):
            self._nft.run(f"delete table {_TABLE}")


def is_possible() -> bool:
    """Whether this process may change these settings."""
    return os.access("/proc/sys/net/ipv4/conf/all/forwarding", os.W_OK)


def _is_on(interface: str) -> bool:
    setting = Path("/proc/sys/net/ipv4/conf", interface, "forwarding")
    return setting.read_text(encoding="ascii").strip() == "1"
