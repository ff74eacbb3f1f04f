"""A WebSocket of the standard library alone, as the documentation's program makes it."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
import urllib.parse
from typing import Any

WITHIN_S = 30.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class HandshakeRefusedError(Exception):
    """The server's answer was not 101; `status` and `body` say what it was."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class RawWebSocket:
    """One connection; every wait ends after `timeout_s` with TimeoutError."""

    def __init__(
        self, base_url: str, key: str, path: str = "/v1/stream", timeout_s: float = WITHIN_S
    ):
        address = urllib.parse.urlparse(base_url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout_s)
        self.closed: tuple[int, str] | None = None
        self.pings = 0
        self._buffer = b""
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {address.hostname}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {nonce}",
            "Sec-WebSocket-Version: 13",
            *([f"Authorization: Bearer {key}"] if key else []),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            size = int(head.lower().split(b"content-length:")[1].split()[0])
            body = self._take(size).decode()
            self.close()
            raise HandshakeRefusedError(int(head.split()[1]), body)

    def __enter__(self) -> RawWebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self.socket.close()

    def send(self, message: Any) -> None:
        """A message as JSON in one masked frame."""
        self.send_frame(TEXT, json.dumps(message).encode())

    def send_frame(self, opcode: int, data: bytes, *, is_last: bool = True) -> None:
        """Any frame."""
        first = bytes([opcode | (0x80 if is_last else 0)])
        if len(data) < 126:
            length = bytes([0x80 | len(data)])
        elif len(data) < 1 << 16:
            length = bytes([0x80 | 126]) + struct.pack("!H", len(data))
        else:
            length = bytes([0x80 | 127]) + struct.pack("!Q", len(data))
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(first + length + mask + masked)

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame, or None when the server has hung up."""
        try:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            return first & 0x0F, self._take(size)
        except (EOFError, ConnectionError):
            return None

    def message(self) -> dict[str, Any]:
        """The next message; fails when the server closes, or sends nothing but pings."""
        ends_at = time.monotonic() + WITHIN_S
        while (found := self.frame()) is not None:
            opcode, data = found
            if opcode == TEXT:
                message: dict[str, Any] = json.loads(data)
                return message
            if opcode == PING:
                self.pings += 1
                self.send_frame(PONG, data)
            if opcode == CLOSE:
                self._note_close(data)
                break
            if time.monotonic() > ends_at:
                raise TimeoutError("no message came")
        raise AssertionError(f"closed: {self.closed}")

    def until_closed(self) -> tuple[int, str]:
        """Code and reason of the server's goodbye, once all before it was read."""
        while (found := self.frame()) is not None:
            if found[0] == CLOSE:
                self._note_close(found[1])
        assert self.closed is not None, "the server hung up without a word"
        return self.closed

    def subscribe(self, *channels: str) -> dict[str, Any]:
        """Subscribe; the ack."""
        self.send({"subscribe": list(channels)})
        return self.message()

    def _note_close(self, data: bytes) -> None:
        self.closed = (int.from_bytes(data[:2], "big"), data[2:].decode())
        self.send_frame(CLOSE, data)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data
