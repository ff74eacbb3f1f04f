"""Carry connections from a slot's listeners to the platform's API, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Sequence

MAX_CONNECTIONS = 256
_CHUNK_BYTES = 16 * 1024
# What lies in these buffers is the host's memory and not the run's, and left alone the kernel lets
# each grow to tens of megabytes.
_SOCKET_BYTES = 32 * 1024
# One process carries for all slots and answers their names as well: at what one slot may have of it
# others wait some milliseconds. A chunk costs it as much as so many bytes more.
_BYTES_PER_S = 8 * 1024 * 1024
_BURST_S = 1.0
_CHUNK_COSTS_BYTES = 4 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class SlotRelay:
    """The listeners of one slot and the connections that came through them.

    At most `MAX_CONNECTIONS` at once: a further one is reset, so that the program sees an error
    at once and not a silence. A side that ends its sending is passed on as just that (half-close).
    What all of them carry is paced.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._free_at_s = 0.0

    async def listen(self, listeners: Sequence[socket.socket]) -> None:
        """Take over bound, listening sockets; closes them in `close`."""
        for listener in listeners:
            _bound_buffers(listener)  # what it accepts inherits them
            server = await asyncio.start_server(self._accepted, sock=listener, limit=_CHUNK_BYTES)
            self._servers.append(server)

    async def close(self) -> None:
        """Stop listening and cut every connection; returns when all are gone."""
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            _reset(writer)
            return
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = [writer]
        try:
            api_reader, api_writer = await asyncio.open_connection(
                *self._target, limit=_CHUNK_BYTES
            )
            opened.append(api_writer)
            _bound_buffers(api_writer.get_extra_info("socket"))
            for end in opened:
                end.transport.set_write_buffer_limits(high=_CHUNK_BYTES)
            await self._both_ways((reader, writer), (api_reader, api_writer))
        except (OSError, asyncio.CancelledError):
            # One end broke, the API is not there, or the slot ends: the other end must see it.
            for end in opened:
                _reset(end)
        finally:
            for end in opened:
                end.close()

    async def _both_ways(self, inside: _Stream, api: _Stream) -> None:
        ways = [
            asyncio.create_task(self._one_way(inside[0], api[1])),
            asyncio.create_task(self._one_way(api[0], inside[1])),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._pace(len(chunk))
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _pace(self, count_bytes: int) -> None:
        """Wait for one's turn once the slot has used up what it may have at once."""
        now_s = asyncio.get_running_loop().time()
        lasts_s = (count_bytes + _CHUNK_COSTS_BYTES) / _BYTES_PER_S
        self._free_at_s = max(self._free_at_s, now_s - _BURST_S) + lasts_s
        if self._free_at_s > now_s:
            await asyncio.sleep(self._free_at_s - now_s)


def _bound_buffers(connection: socket.socket) -> None:
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BYTES)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
