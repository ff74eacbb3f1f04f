"""The uplink of a root runner: a veth pair to the host, whose own routing does the rest.

Faster than slirp4netns: no process carries the packets. The API is reached by address translation
then, and not by netd's relay. On the host it adds one interface and one nftables table of its own,
both removed at the end; the rules there repeat the most important of the router's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from sandbox.network import forwarding, namespaces, ruleset
from sandbox.network.nft import Nft
from sandbox.network.router import Router
from sandbox.network.rtnetlink import Rtnetlink
from sandbox.network.uplink import UplinkError

MTU_BYTES = 1500
_FIRST_PAIR = int(IPv4Address("198.19.255.0"))
_PAIRS = 64
_CHECK_EVERY_S = 2.0
_REACHED_S = 2.0


@dataclass(frozen=True)
class Api:
    """Where the API is as the host sees it, and the ports at which a slot finds it."""

    address: str
    port: int
    listen_ports: tuple[int, ...]

    @property
    def is_on_loopback(self) -> bool:
        return IPv4Address(self.address).is_loopback


def translatable(host: str, port: int, listen_ports: Iterable[int]) -> Api | None:
    """The API if its packets can be translated: an IPv4 address. A name may come to mean another
    address at any time, so the relay looks it up for each connection."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        IPv4Address(address)
    except ValueError:
        return None
    return Api(address, port, tuple(listen_ports))


class VethUplink:
    """An `Uplink`. For root, in the host's network namespace."""

    def __init__(self, router: Router, runner: str, api: Api | None) -> None:
        self._router = router
        self._api = api
        mark = zlib.crc32(runner.encode())
        self._interface = f"{forwarding.PREFIX}{mark:08x}"
        self._table = f"ip sequence-{mark:08x}"
        self._first_pair = mark % _PAIRS
        self._nft = Nft()
        self._links = Rtnetlink()
        self._forwarding = forwarding.Forwarding(self._nft, self._links)

    async def start(self) -> None:
        try:
            self._remove()  # what a netd that was killed has left
            here, there = self._addresses()
            self._links.add_veth(
                self._interface, ruleset.UPLINK, self._router.namespace_fd, MTU_BYTES
            )
            self._links.add_address(self._interface, here, 30)
            self._links.bring_up(self._interface)
            self._nft.run(self._rules(here, there))
            self._forwarding.keep_on(self._interface)
            await self._router.attach(there, 30, here)
            if self._api is not None:
                await self._translate(self._api, here)
        except BaseException:
            await self.stop()
            raise

    async def lost(self) -> str:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            if self._interface not in (name for _, name in socket.if_nameindex()):
                return f"the interface {self._interface} was removed"
            if not self._nft.has_table(self._table):
                return f"the nftables table {self._table!r} was removed"
            try:
                self._forwarding.keep_on(self._interface)
            except OSError as error:
                return f"forwarding could not be kept on: {error}"

    async def stop(self) -> None:
        self._remove()

    def _remove(self) -> None:
        self._router.nft.run(*ruleset.replace_api([]))
        with contextlib.suppress(OSError):  # there is none
            self._links.delete_link(self._interface)
        if self._nft.has_table(self._table):
            self._nft.run(f"delete table {self._table}")
        self._forwarding.switch_off()

    def _addresses(self) -> tuple[str, str]:
        """Two addresses of a /30 that no other runner of the host has: here and in the router."""
        taken = set(self._links.addresses())
        for n in range(_PAIRS):
            first = _FIRST_PAIR + 4 * ((self._first_pair + n) % _PAIRS)
            here, there = str(IPv4Address(first + 1)), str(IPv4Address(first + 2))
            if here not in taken:
                return here, there
        raise UplinkError(f"all {_PAIRS} veth uplinks of this host are in use")

    def _rules(self, here: str, there: str) -> str:
        return f"""
table {self._table} {{
  chain translate {{
    type nat hook prerouting priority dstnat
    {self._api_translation(here)}
  }}
  chain leave {{
    type nat hook postrouting priority srcnat
    ip saddr {there} oifname != "{self._interface}" masquerade
  }}
  chain through {{
    type filter hook forward priority filter; policy accept
    iifname "{self._interface}" ip saddr != {there} drop
    oifname "{self._interface}" ct state established,related accept
    oifname "{self._interface}" drop
  }}
  chain to_host {{
    type filter hook input priority filter; policy accept
    iifname != "{self._interface}" accept
    ct state established,related accept
    ip protocol icmp accept
    {self._api_input()}
    drop
  }}
}}
"""

    def _api_translation(self, here: str) -> str:
        api = self._api
        if api is None or not api.is_on_loopback:
            return ""
        arriving = f'iifname "{self._interface}" ip daddr {here} tcp dport {api.port}'
        return f"{arriving} dnat to {api.address}"

    def _api_input(self) -> str:
        api = self._api
        return f"ip daddr {api.address} tcp dport {api.port} accept" if api is not None else ""

    async def _translate(self, api: Api, here: str) -> None:
        """From now on the kernel carries new connections to the API, if it can be reached so."""
        if api.is_on_loopback:
            # Only for what comes through our interface, and the rule lets one port through there.
            namespaces.set_sysctl(f"net/ipv4/conf/{self._interface}/route_localnet", 1)
        target = here if api.is_on_loopback else api.address
        if await self._router.run(lambda: _is_reachable(target, api.port)):
            targets = [(port, target, api.port) for port in api.listen_ports]
            self._router.nft.run(*ruleset.replace_api(targets))


def _is_reachable(address: str, port: int) -> bool:
    """False when packets are dropped on the way, by a firewall of the host for instance. A refused
    connection is an answer: the API may come later."""
    try:
        with socket.create_connection((address, port), timeout=_REACHED_S):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
