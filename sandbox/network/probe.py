"""Is the other end of the uplink alive? Pings from inside the router's namespace."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct

_ECHO = struct.Struct("!BBHHH")
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_IP_HEADER_BYTES = 20
_MAX_BYTES = 2048


class Probe:
    """Made in the namespace that it is about, by a thread with power over it. Raises OSError."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._numbers = itertools.count()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setblocking(False)
        self._socket.connect((gateway, 0))

    async def answers(self, timeout_s: float) -> bool:
        """Send one ping; whether it came back in time."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers) & 0xFFFF
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendall(self._socket, _echo(number))
                while True:
                    packet = await loop.sock_recv(self._socket, _MAX_BYTES)
                    kind, _, _, _, theirs = _ECHO.unpack_from(packet, _IP_HEADER_BYTES)
                    if (kind, theirs) == (_ECHO_REPLY, number):
                        return True
        except (OSError, TimeoutError, struct.error):
            return False

    def close(self) -> None:
        self._socket.close()


def _echo(number: int) -> bytes:
    # The kernel sets neither checksum nor identifier of a raw socket's message.
    total = (_ECHO_REQUEST << 8) + number
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return _ECHO.pack(_ECHO_REQUEST, 0, checksum, 0, number)
