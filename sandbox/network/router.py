"""The router's namespace: every slot hangs on it by one veth pair, and it alone has an uplink."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TypeVar

from sandbox.config import API_ADDRESS
from sandbox.network import namespaces, offloads, ranges, ruleset
from sandbox.network.descriptors import LowDescriptors
from sandbox.network.nft import Nft
from sandbox.network.rtnetlink import ANYWHERE, Rtnetlink

_T = TypeVar("_T")
_FIRST_ADDRESS = int(IPv4Address("198.18.1.0"))
_ADDRESSES = int(IPv4Address("198.19.255.0")) - _FIRST_ADDRESS  # the last /24 is the uplinks'
_BACKLOG = 128
_LAST_METRIC = 9999
_FOREVER_S = 2_000_000  # of a kernel of 1000 ticks a second
_INSIDE = "eth0"
_SETTINGS = {
    "net/ipv4/ip_forward": 1,
    # Refusals are answered at once however many there are; they go no further than a slot.
    "net/ipv4/icmp_ratemask": 0,
    # A new namespace copies the host's settings of these, whatever they are.
    "net/ipv4/conf/all/arp_ignore": 0,
    "net/ipv4/conf/default/arp_ignore": 0,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/accept_source_route": 0,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
}
_UNCOUNTED = {
    # Nothing that was sent comes back in the queue of errors. A program can ask for that beside
    # each datagram, where no filter of system calls sees it.
    "net/core/tstamp_allow_data": 0,
    # Signing keys of one socket; and of one message's control data the most,
    # of which 200 descriptors are 800 bytes.
    "net/core/optmem_max": 4096,
    # A group is 250 bytes; hundreds of thousands of them take longer to leave than a kill waits.
    "net/ipv4/igmp_max_memberships": 0,
    # What is left of a closed connection, 250 bytes, for a minute.
    "net/ipv4/tcp_max_tw_buckets": 1024,
    # What is learnt of a closed connection's other end lies in a table that the host has once.
    "net/ipv4/tcp_no_metrics_save": 1,
    # And the kernel's pace of ICMP errors may be one for all.
    "net/ipv4/icmp_ratemask": 0,
}
# Of one connection's buffers, each way. All that a program opens to itself would come to more than
# a small host grants to TCP.
_MOST_TCP_BYTES = 1024 * 1024
# How long the connection table remembers what has ended, or never began.
_CONNTRACK_TIMEOUTS_S = {
    "tcp_timeout_time_wait": 5,
    "tcp_timeout_close": 5,
    "tcp_timeout_close_wait": 20,
    "tcp_timeout_fin_wait": 10,
    "tcp_timeout_last_ack": 10,
    "tcp_timeout_syn_sent": 20,
    "udp_timeout": 10,
}


@dataclass(frozen=True)
class Settings:
    """`ports`: where the API is listened for in each slot. `mtu_bytes`: of a slot's interface and
    of the uplink. `connections`: most of one slot."""

    ports: Sequence[int]
    mtu_bytes: int
    connections: int
    extra_allowed: Sequence[IPv4Network]
    extra_blocked: Sequence[IPv4Network]


@dataclass(frozen=True)
class SlotSockets:
    """Bound to the gateway's address and to one slot's interface: what comes in is that slot's,
    and no slot can fill another's queue. `api` and `dns_tcp` listen."""

    api: Sequence[socket.socket]
    dns_udp: socket.socket
    dns_tcp: socket.socket

    def close(self) -> None:
        for one in (*self.api, self.dns_udp, self.dns_tcp):
            one.close()


def slot_address(slot: int) -> str:
    """The slot's own address, as the program sees it."""
    return str(IPv4Address(_FIRST_ADDRESS + slot % _ADDRESSES))


def slot_interface(slot: int) -> str:
    """Name of the slot's interface in the router's namespace."""
    return f"s{slot}"


class Router:
    """Owns one thread that lives in the router's namespace, because `unshare` and `setns` move
    only their caller; the event loop's thread stays in the runner's.

    Every method raises OSError. `nft` is for the event loop's thread alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="router")
        self._remover = ThreadPoolExecutor(max_workers=1, thread_name_prefix="remover")
        self._low = LowDescriptors()
        self.namespace_fd = -1
        self.nft: Nft

    async def open(self, known_fd: int | None) -> None:
        """Make the namespace, or take over the one of a netd that died."""
        await self.run(self._create if known_fd is None else lambda: self._enter(known_fd))

    async def make_slot(self, slot: int) -> tuple[int, SlotSockets]:
        """A new network namespace whose only way out leads here; answers with its descriptor."""
        namespace_fd, sockets = await self.run(lambda: self._make_slot(slot))
        try:
            self.nft.run(ruleset.add_slot(slot_interface(slot), slot_address(slot)))
        except BaseException:
            os.close(namespace_fd)
            sockets.close()
            await self.cut_slot(slot)
            raise
        return namespace_fd, sockets

    async def reopen_slot(self, slot: int) -> SlotSockets:
        """The sockets anew, for a slot that a dead netd made."""
        sockets = await self.run(lambda: self._sockets(slot_interface(slot)))
        self.nft.run(ruleset.add_slot(slot_interface(slot), slot_address(slot)))
        return sockets

    async def cut_slot(self, slot: int) -> None:
        """Remove the veth pair. Takes 20 ms of waiting in the kernel, so in a thread of its own."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._remover, self._remove_link, slot_interface(slot))

    async def attach(self, address: str, prefix: int, gateway: str) -> None:
        """Configure the uplink's interface, which is here already, and route by it."""
        await self.run(lambda: self._attach(address, prefix, gateway))

    async def run(self, function: Callable[[], _T]) -> _T:
        """Call `function` in the thread that lives in the router's namespace."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def close(self) -> None:
        self._thread.shutdown()
        self._remover.shutdown()
        self._low.close()

    def _create(self) -> None:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        self._open_here()
        for path, value in _SETTINGS.items():
            namespaces.set_sysctl(path, value)
        _forbid_ipv6()
        self._links.bring_up("lo")
        self._links.add_address("lo", API_ADDRESS)
        # Without an uplink packets must still pass the rules, to be refused there and counted.
        self._links.add_route(ANYWHERE, 0, "lo", _LAST_METRIC)
        allowed = self._settings.extra_allowed
        closed = [*ranges.closed(allowed), *self._settings.extra_blocked]
        named_only = [*ranges.DOCUMENTATION, *allowed]
        self.nft.run(
            ruleset.table(_disjoint(closed), _disjoint(named_only), self._settings.connections)
        )
        # These settings exist once a rule has asked for connection tracking.
        for name, timeout_s in _CONNTRACK_TIMEOUTS_S.items():
            namespaces.set_sysctl(f"net/netfilter/nf_conntrack_{name}", timeout_s)

    def _enter(self, known_fd: int) -> None:
        namespaces.enter(known_fd, namespaces.CLONE_NEWNET)
        os.close(known_fd)
        self._open_here()
        # What is not adopted in a moment belonged to a run that has ended meanwhile.
        self.nft.run(*ruleset.close_all())

    def _open_here(self) -> None:
        self.namespace_fd = namespaces.open_own("net")
        self.nft = Nft()
        self._links = Rtnetlink()
        self._removals = Rtnetlink()

    def _make_slot(self, slot: int) -> tuple[int, SlotSockets]:
        with contextlib.ExitStack() as undo:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            try:
                namespace_fd = namespaces.open_own("net")
                undo.callback(os.close, namespace_fd)
                self._wire(slot, namespace_fd)
            finally:
                namespaces.enter(self.namespace_fd, namespaces.CLONE_NEWNET)
            undo.callback(self._links.delete_link, slot_interface(slot))
            offloads.send_what_it_looks_like(slot_interface(slot))
            sockets = self._sockets(slot_interface(slot))
            undo.pop_all()
        return namespace_fd, sockets

    def _wire(self, slot: int, namespace_fd: int) -> None:
        _forbid_ipv6()
        # What a killed program left unsent must not keep its namespace alive for minutes.
        namespaces.set_sysctl("net/ipv4/tcp_orphan_retries", 1)
        _bound_uncounted_memory()
        _limit_by_rules(self._low, self._settings.mtu_bytes)
        interface, address = slot_interface(slot), slot_address(slot)
        self._links.add_veth(interface, _INSIDE, namespace_fd, self._settings.mtu_bytes)
        offloads.send_what_it_looks_like(_INSIDE)
        with Rtnetlink() as inside:
            inside.bring_up("lo")
            inside.add_address(_INSIDE, address)
            inside.bring_up(_INSIDE)
            inside.add_route(API_ADDRESS, 32, _INSIDE)
            inside.add_default_route(API_ADDRESS, _INSIDE)
        self._links.bring_up(interface)
        self._links.add_route(address, 32, interface)

    def _sockets(self, interface: str) -> SlotSockets:
        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
        api = [_bound(tcp, port, interface) for port in self._settings.ports]
        dns_udp, dns_tcp = (_bound(kind, ranges.DNS_PORT, interface) for kind in (udp, tcp))
        return SlotSockets(api, dns_udp, dns_tcp)

    def _remove_link(self, interface: str) -> None:
        try:
            self._removals.delete_link(interface)
        except OSError as error:
            if error.errno != errno.ENODEV:  # gone already, with the slot's namespace
                raise

    def _attach(self, address: str, prefix: int, gateway: str) -> None:
        self._links.add_address(ruleset.UPLINK, address, prefix)
        self._links.bring_up(ruleset.UPLINK, self._settings.mtu_bytes)
        self._links.add_default_route(gateway, ruleset.UPLINK)


def _bound(kind: socket.SocketKind, port: int, interface: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((API_ADDRESS, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _bound_uncounted_memory() -> None:
    """What a socket holds beside its data is not counted as the run's memory."""
    for path, value in _UNCOUNTED.items():
        with contextlib.suppress(OSError):  # a kernel that has it for the whole host only
            namespaces.set_sysctl(path, value)
    for path in ("net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"):
        least, *others = namespaces.sysctl(path)
        namespaces.set_sysctl(path, least, *(min(one, _MOST_TCP_BYTES) for one in others))


def _limit_by_rules(low: LowDescriptors, mtu_bytes: int) -> None:
    with low.nft() as inside:
        inside.run(ruleset.slot_table(mtu_bytes))
    # Given up by one end and not accepted by the other, it is there as long as the program is.
    lasting = ("established", "close_wait", "unacknowledged", "max_retrans")
    ended = dict.fromkeys(("tcp_timeout_time_wait", "tcp_timeout_close"), 1)
    timeouts_s = _CONNTRACK_TIMEOUTS_S | ended
    timeouts_s |= {f"tcp_timeout_{state}": _FOREVER_S for state in lasting}
    for name, timeout_s in timeouts_s.items():
        namespaces.set_sysctl(f"net/netfilter/nf_conntrack_{name}", timeout_s)


def _forbid_ipv6() -> None:
    """On every interface but `lo`: programs may talk to themselves by ::1."""
    try:
        namespaces.set_sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    except FileNotFoundError:
        return  # a kernel without IPv6


def _disjoint(networks: Sequence[IPv4Network]) -> list[IPv4Network]:
    return list(collapse_addresses(networks))
