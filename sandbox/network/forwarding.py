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


def switch_on(nft: Nft, links: Rtnetlink, uplink: str) -> None:
    """Let packets pass between `uplink` and the default routes. Raises OSError."""
    namespaces.set_sysctl(f"net/ipv4/conf/{uplink}/forwarding", 1)
    for index in links.default_route_links():
        name = socket.if_indextoname(index)
        if not _is_on(name):
            # The guard first: there is no moment in which others' packets pass.
            nft.run(_GUARD, f'add element {_TABLE} switched {{ "{name}" }}')
            namespaces.set_sysctl(f"net/ipv4/conf/{name}/forwarding", 1)


def keep(nft: Nft, links: Rtnetlink, uplink: str) -> None:
    """Again what has become undone, and nothing of ours in the way of an operator who has switched
    forwarding on for the whole host since."""
    switch_on(nft, links, uplink)
    if _is_on("all") and nft.has_table(_TABLE):
        nft.run(f"delete table {_TABLE}")


def switch_off(nft: Nft) -> None:
    """Back to how it was, unless the uplink of another runner is there."""
    others = [name for _, name in socket.if_nameindex() if name.startswith(PREFIX)]
    if others or not nft.has_table(_TABLE):
        return
    for name in nft.elements(_TABLE, "switched"):
        with contextlib.suppress(OSError):  # an interface that is gone
            namespaces.set_sysctl(f"net/ipv4/conf/{name}/forwarding", 0)
    nft.run(f"delete table {_TABLE}")


def is_possible() -> bool:
    """Whether this process may change these settings."""
    return os.access("/proc/sys/net/ipv4/conf/all/forwarding", os.W_OK)


def _is_on(interface: str) -> bool:
    setting = Path("/proc/sys/net/ipv4/conf", interface, "forwarding")
    return setting.read_text(encoding="ascii").strip() == "1"
