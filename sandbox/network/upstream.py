"""Ask the host's own DNS servers, from the runner's namespace."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sandbox.network import dns_message
from sandbox.network.dns_message import MalformedError, Reply

_RESOLV_CONF = Path("/etc/resolv.conf")
_TIMEOUT_S = 1.5
_ALTOGETHER_S = 4.5  # libc gives a server 5
_ROUNDS = 2
_MAX_SERVERS = 3
_MAX_ALIASES = 8
_MAX_UDP_BYTES = 4096
_FINAL = (dns_message.NO_ERROR, dns_message.NO_SUCH_NAME)


@dataclass(frozen=True)
class Found:
    """`code`: NO_ERROR, NO_SUCH_NAME, or SERVER_FAILURE when no server gave an answer in time."""

    code: int
    addresses: tuple[str, ...] = ()
    ttl_s: int = 0


class Upstream:
    """Looks names up, one after the other server, aliases followed to their end."""

    def __init__(self, servers: Sequence[str]) -> None:
        """`servers`: addresses; none means those of /etc/resolv.conf as it is at each question."""
        self._servers = tuple(servers)

    async def look_up(self, name: str) -> Found:
        """The IPv4 addresses of `name`, in at most 4.5 s. Never raises for what comes back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ALTOGETHER_S):
                return await self._follow(name)
        return Found(dns_message.SERVER_FAILURE)

    async def _follow(self, name: str) -> Found:
        ttl_s = (1 << 31) - 1
        for _ in range(_MAX_ALIASES):
            reply = await self._ask(name)
            if reply is None:
                break
            ttl_s = min(ttl_s, reply.ttl_s)
            if reply.alias is None or reply.code != dns_message.NO_ERROR:
                return Found(reply.code, reply.addresses, ttl_s)
            name = reply.alias
        return Found(dns_message.SERVER_FAILURE)

    async def _ask(self, name: str) -> Reply | None:
        for _ in range(_ROUNDS):
            for server in (self._servers or _configured())[:_MAX_SERVERS]:
                with contextlib.suppress(OSError, TimeoutError, MalformedError):
                    async with asyncio.timeout(_TIMEOUT_S):
                        reply = await _by_udp(server, name)
                        if reply.is_truncated:
                            reply = await _by_tcp(server, name)
                    if reply.code in _FINAL:
                        return reply
        return None


def _configured() -> list[str]:
    try:
        lines = _RESOLV_CONF.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = [
        words[1] for words in map(str.split, lines) if words[:1] == ["nameserver"] and words[1:]
    ]
    return [server for server in found if _is_address(server)]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET


async def _by_udp(server: str, name: str) -> Reply:
    loop = asyncio.get_running_loop()
    number = secrets.randbelow(1 << 16)
    # A socket of its own for each question: a port that nobody can guess, and ICMP errors.
    with socket.socket(_family(server), socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((server, 53))
        await loop.sock_sendall(asking, dns_message.ask(number, name))
        while True:
            data = await loop.sock_recv(asking, _MAX_UDP_BYTES)
            with contextlib.suppress(MalformedError):  # forged, perhaps: the right one may follow
                return dns_message.parse_reply(data, number, name)


async def _by_tcp(server: str, name: str) -> Reply:
    number = secrets.randbelow(1 << 16)
    question = dns_message.ask(number, name)
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return dns_message.parse_reply(await reader.readexactly(length), number, name)
    except EOFError as error:
        raise MalformedError("cut off") from error
    finally:
        writer.transport.abort()
