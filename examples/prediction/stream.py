"""`/v1/stream` from the standard library alone: the handshake, and frames in both directions."""

import base64
import json
import os
import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class StreamError(Exception):
    """The stream could not be opened, or ended early."""


def messages(
    base_url: str, api_key: str, channels: list[str], *, duration_s: float, most: int
) -> Iterator[dict[str, Any]]:
    """Decoded JSON messages of these channels, for so long or until there were so many."""
    wire, rest = _open(base_url, api_key)
    deadline = time.monotonic() + duration_s
    try:
        _send(wire, TEXT, json.dumps({"subscribe": channels}).encode())
        frames = _Frames(wire, rest)
        seen = 0
        while seen < most:
            frame = frames.next(deadline)
            if frame is None:
                return
            code, payload = frame
            if code == CLOSE:
                raise StreamError(f"closed: {payload[2:].decode(errors='replace')}")
            if code == PING:
                _send(wire, PONG, payload)
            elif code == TEXT:
                message = json.loads(payload)
                # The first ones are acknowledgements: without a channel or without data.
                if message.get("channel") and message.get("data"):
                    seen += 1
                    yield message
    finally:
        wire.close()


def _open(base_url: str, api_key: str) -> tuple[socket.socket, bytes]:
    """The upgraded connection, and what came behind the handshake."""
    url = urllib.parse.urlsplit(base_url)
    is_secure = url.scheme == "https"
    host = url.hostname or ""
    wire = socket.create_connection((host, url.port or (443 if is_secure else 80)), timeout=15)
    if is_secure:
        wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)
    lines = [
        "GET /v1/stream HTTP/1.1",
        f"Host: {url.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {api_key}",
    ]
    wire.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = wire.recv(4096)
        if not piece:
            raise StreamError("the server hung up during the handshake")
        answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise StreamError(f"no upgrade: {head.splitlines()[0].decode(errors='replace')}")
    return wire, rest


def _send(wire: socket.socket, code: int, payload: bytes) -> None:
    """One frame, masked, as a client's have to be; payloads here are below 64 KiB."""
    mask = os.urandom(4)
    length = len(payload)
    head = bytes([0x80 | code])
    head += bytes([0x80 | length]) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    wire.sendall(head + mask + masked)


class _Frames:
    """Whole frames out of a stream of bytes that comes in any pieces."""

    def __init__(self, wire: socket.socket, rest: bytes) -> None:
        self._wire = wire
        self._buffer = rest

    def next(self, deadline: float) -> tuple[int, bytes] | None:
        """Code and payload of the next frame; None when the time is over."""
        while (frame := self._cut()) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._wire.settimeout(left_s)
            try:
                piece = self._wire.recv(65536)
            except TimeoutError:
                return None
            if not piece:
                raise StreamError("the server hung up")
            self._buffer += piece
        return frame

    def _cut(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            size, form = (2, "!H") if length == 126 else (8, "!Q")
            if len(data) < 2 + size:
                return None
            length, start = struct.unpack_from(form, data, 2)[0], 2 + size
        if len(data) < start + length:
            return None
        self._buffer = data[start + length :]
        return data[0] & 0x0F, data[start : start + length]
