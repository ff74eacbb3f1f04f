"""One WebSocket connection: frames out without waiting, messages in, a close with its reason."""

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from app.clients.service import Principal

MESSAGE_MAX_BYTES = 64 << 10
BACKLOG_MAX_BYTES = 1 << 20
SEND_BUFFER_BYTES = 256 << 10
_DEAD_AFTER_MS = 30_000
_READ_BYTES = 64 << 10
_MESSAGES_PER_S = 20.0
_MESSAGES_AT_ONCE = 100.0
CLOSE_WITHIN_S = 3.0
# It has to read what is under way before it gets to the reason.
_SLOW_CLOSE_WITHIN_S = 10.0


def text_frame(text: str) -> bytes:
    """A message as it goes over the wire to any number of clients: servers do not mask."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@dataclass
class _Bucket:
    """How many more messages a client may send at this moment."""

    tokens: float = _MESSAGES_AT_ONCE
    at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        passed_s = now_s - self.at_s if self.at_s else 0.0
        self.tokens = min(_MESSAGES_AT_ONCE, self.tokens + passed_s * _MESSAGES_PER_S)
        self.at_s = now_s
        self.tokens -= 1
        return self.tokens >= 0


class Connection:
    """A socket that speaks WebSocket by now; its descriptor does not block.

    `send` may be called from any thread and never waits. Who takes too little is let go: what is
    kept for one client is bounded.
    """

    def __init__(self, sock: socket.socket, principal: Principal) -> None:
        self.principal = principal
        self.channels: set[str] = set()
        self.cut_at_s: float | None = None
        self._sock = sock
        self._protocol = ServerProtocol(state=OPEN, max_size=MESSAGE_MAX_BYTES)
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._is_cut = False
        self._is_draining = False
        self._is_over = False
        self._lock = threading.RLock()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A peer that is gone without a word is found by the pings that nobody acknowledges.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)

    def send(self, frame: bytes) -> None:
        """Send a frame, or keep it for when the client takes more."""
        with self._lock:
            if self.cut_at_s is not None or self._is_over:
                return
            self._put(frame)
            if self._pending_bytes > BACKLOG_MAX_BYTES:
                self._drop_backlog()
                reason = "too slow: frames are not read in time"
                self.close(CloseCode.POLICY_VIOLATION, reason, _SLOW_CLOSE_WITHIN_S)

    def ping(self) -> None:
        """Keep what lies between awake."""
        self.send(Frame(Opcode.PING, b"").serialize(mask=False))

    def close(self, code: int, reason: str, within_s: float = CLOSE_WITHIN_S) -> None:
        """Say goodbye; the socket is closed when the client has answered, or `within_s`."""
        with self._lock:
            if self.cut_at_s is not None or self._is_over:
                return
            self.cut_at_s = time.monotonic() + within_s
            if self._protocol.state is OPEN:
                self._protocol.send_close(code, reason)
            self._flush_protocol()

    def cut(self) -> None:
        """End it without waiting any longer; its reader comes back."""
        with self._lock:
            if self._is_over:
                return
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the client was faster

    def read(self, on_text: Callable[[str], None]) -> None:
        """Read until the connection is over; `on_text` has each message."""
        bucket, parts = _Bucket(), bytearray()
        try:
            while data := self._sock.recv(_READ_BYTES):
                for frame in self._received(data):
                    if frame.opcode is Opcode.CLOSE:
                        continue
                    if not bucket.take(time.monotonic()):
                        self.close(CloseCode.POLICY_VIOLATION, "too many messages at once")
                        break
                    self._take(frame, parts, on_text)
                if self._protocol.close_rcvd is not None and not self._pending:
                    break
                if self._protocol.parser_exc is not None and not self._pending:
                    # Nothing more is understood. Closing now might take the goodbye back.
                    self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the client is gone
        finally:
            with self._lock:
                self._is_over = True
                self._pending.clear()

    def _received(self, data: bytes) -> list[Frame]:
        with self._lock:
            self._protocol.receive_data(data)
            frames = [one for one in self._protocol.events_received() if isinstance(one, Frame)]
            self._flush_protocol()
            if self._protocol.state is not OPEN and self.cut_at_s is None:
                self.cut_at_s = time.monotonic() + CLOSE_WITHIN_S
            return frames

    def _take(self, frame: Frame, parts: bytearray, on_text: Callable[[str], None]) -> None:
        if frame.opcode is Opcode.BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA, "messages are JSON in text frames")
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        parts += frame.data
        if frame.fin and self.cut_at_s is None:
            try:
                text = parts.decode()
            except UnicodeDecodeError:
                self.close(CloseCode.INVALID_DATA, "messages are UTF-8")
                return
            finally:
                parts.clear()
            on_text(text)

    def _flush_protocol(self) -> None:
        """Send what the protocol has to say: pongs, and goodbyes."""
        for data in self._protocol.data_to_send():
            if data:
                self._put(bytes(data))

    def _put(self, data: bytes) -> None:
        if not self._pending:
            sent = self._write(data)
            if sent == len(data):
                return
            self._is_cut = sent > 0
            data = data[sent:]
        self._pending.append(data)
        self._pending_bytes += len(data)
        if not self._is_draining and not self._is_over:
            self._is_draining = True
            threading.Thread(target=self._drain, name="stream-drain", daemon=True).start()

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._sock.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            # The reader finds out as well, and ends it.
            return len(data)

    def _drain(self) -> None:
        """Send what is kept as the client takes it."""
        while True:
            with self._lock:
                while self._pending and not self._is_over:
                    data = self._pending[0]
                    sent = self._write(data)
                    self._pending_bytes -= sent
                    if sent < len(data):
                        self._is_cut = self._is_cut or sent > 0
                        self._pending[0] = data[sent:]
                        break
                    self._pending.popleft()
                    self._is_cut = False
                if self._is_over or not self._pending:
                    self._is_draining = False
                    return
                descriptor = self._sock.fileno()
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile: seen above
                select.select([], [descriptor], [], 1.0)

    def _drop_backlog(self) -> None:
        """Forget what is kept, but for the rest of a frame that the client has a part of."""
        rest = self._pending[0] if self._is_cut else b""
        self._pending.clear()
        self._pending_bytes = len(rest)
        if rest:
            self._pending.append(rest)
