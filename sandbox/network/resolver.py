"""The DNS server of one slot: answers what the policy allows, and opens what it answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from sandbox.network import dns_message, ranges
from sandbox.network.dns_message import MalformedError, Query
from sandbox.network.upstream import Found, Upstream
from sandbox.policy import Rules

LEAST_S, MOST_S = 30, 3600
_MARGIN_S = 10  # an address stays open a little longer than the program may use the answer
_MAX_PENDING = 32
_MAX_CONNECTIONS = 8
_MAX_ADDRESSES = 16
_MAX_OPEN = 4096
_READ_AT_ONCE = 16
_IDLE_S = 10.0
_PACE_S = 0.01  # between two answers of one TCP connection; nftables paces the datagrams
_MAX_BYTES = 4096


@dataclass(frozen=True)
class Doors:
    """What a resolver does to the rest. `open` (addresses, port or None, seconds) makes addresses
    reachable for the slot, raising OSError; `refuse` notes a destination; `is_own`: whether an
    address is the host's."""

    open: Callable[[Iterable[str], int | None, int], None]
    refuse: Callable[[str], None]
    is_own: Callable[[str], bool]


class SlotResolver:
    """Serves from `start` to `close`. A program that asks too much at once hears SERVFAIL."""

    def __init__(
        self, rules: Rules, upstream: Upstream, doors: Doors, allowed: Iterable[IPv4Network]
    ) -> None:
        """`allowed`: the operator's exceptions, besides those of `rules`."""
        self._rules = rules
        self._upstream = upstream
        self._doors = doors
        self._answerable = (*allowed, *(rule.network for rule in rules.ranges))
        self._open_until_s: dict[tuple[str, int | None], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: dict[str, asyncio.Task[Found]] = {}
        self._connections = 0
        self._udp: socket.socket | None = None
        self._server: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Take over both sockets; closes them in `close`."""
        self._udp = udp
        asyncio.get_running_loop().add_reader(udp, self._readable)
        self._server = await asyncio.start_server(self._connected, sock=tcp, limit=_MAX_BYTES)

    async def close(self) -> None:
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp)
            self._udp.close()
        if self._server is not None:
            self._server.close()
        tasks = {*self._tasks, *self._asking.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def respond(self, data: bytes) -> bytes | None:
        """The answer to a message, if it deserves one."""
        try:
            query = dns_message.parse_query(data)
        except MalformedError:
            return dns_message.complaint(data)
        if not dns_message.is_host_name(query.name):
            self._doors.refuse("names that no host has")  # they would be shown in a log
            return dns_message.answer(query, dns_message.NO_SUCH_NAME)
        if not self._rules_for(query.name):
            self._doors.refuse(query.name)
            return dns_message.answer(query, dns_message.NO_SUCH_NAME)
        found = await self._look_up(query.name)
        if query.kind != dns_message.TYPE_A:
            # Whether there is such a name counts for IPv6 and the rest too; such data there is not.
            return dns_message.answer(query, found.code)
        return self._admit(query, found)

    async def _look_up(self, name: str) -> Found:
        """Questions at the same moment share one answer: libc asks for IPv4 and IPv6 together."""
        asking = self._asking.get(name)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._upstream.look_up(name))
            self._asking[name] = asking
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(asking)

    def _admit(self, query: Query, found: Found) -> bytes:
        usable = [address for address in found.addresses if self._is_usable(address)]
        for address in set(found.addresses) - set(usable):
            # Not the address: the host's resolver may know names that are nobody else's business.
            self._doors.refuse(f"{query.name} -> {self._what_is(address)}")
        usable = usable[:_MAX_ADDRESSES]
        ttl_s = min(max(found.ttl_s, LEAST_S), MOST_S)
        if usable and not self._open(query.name, usable, ttl_s):
            return dns_message.answer(query, dns_message.SERVER_FAILURE)
        return dns_message.answer(query, found.code, usable, min(found.ttl_s, MOST_S))

    def _rules_for(self, name: str) -> list[int | None]:
        """The ports that the name is allowed with; None is every port."""
        if self._rules.mode == "internet":
            return [None]
        return [rule.port for rule in self._rules.names if rule.covers(name)]

    def _is_usable(self, address: str) -> bool:
        if self._doors.is_own(address):
            return False
        return ranges.is_answerable(IPv4Address(address), self._answerable)

    def _what_is(self, address: str) -> str:
        if self._doors.is_own(address):
            return "this host"
        return ranges.what_is(IPv4Address(address))

    def _open(self, name: str, addresses: list[str], ttl_s: int) -> bool:
        if self._rules.mode == "internet":
            return True
        now_s = time.monotonic()
        self._forget(now_s)
        for port in self._rules_for(name):
            # What stays open long enough is left alone: a question costs no change of the rules.
            due = [
                address
                for address in addresses
                if self._open_until_s.get((address, port), 0.0) < now_s + ttl_s
            ]
            if len(self._open_until_s) + len(due) > _MAX_OPEN:
                return False
            try:
                if due:
                    self._doors.open(due, port, ttl_s + _MARGIN_S)
            except OSError:
                return False
            self._open_until_s |= {(address, port): now_s + ttl_s + _MARGIN_S for address in due}
        return True

    def _forget(self, now_s: float) -> None:
        if len(self._open_until_s) > _MAX_OPEN // 2:
            self._open_until_s = {k: end for k, end in self._open_until_s.items() if end > now_s}

    def _readable(self) -> None:
        udp = self._udp
        assert udp is not None  # noqa: S101 - a reader is only there between start and close
        for _ in range(_READ_AT_ONCE):
            try:
                data, sender = udp.recvfrom(_MAX_BYTES)
            except OSError:
                return
            if len(self._tasks) >= _MAX_PENDING:
                self._send(udp, _overloaded(data), sender)
            else:
                self._keep(self._answer(udp, data, sender))

    async def _answer(self, udp: socket.socket, data: bytes, sender: tuple[str, int]) -> None:
        self._send(udp, await self.respond(data), sender)

    def _send(self, udp: socket.socket, answer: bytes | None, sender: tuple[str, int]) -> None:
        if answer is not None:
            with contextlib.suppress(OSError):  # a full buffer, or a sender that is gone
                udp.sendto(answer, sender)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        self._keep(self._converse(reader, writer))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(length)
                answer = await self.respond(data)
                await asyncio.sleep(_PACE_S)
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                async with asyncio.timeout(_IDLE_S):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            self._connections -= 1
            writer.transport.abort()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _overloaded(data: bytes) -> bytes | None:
    try:
        return dns_message.answer(dns_message.parse_query(data), dns_message.SERVER_FAILURE)
    except MalformedError:
        return None
