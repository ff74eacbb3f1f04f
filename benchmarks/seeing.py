"""What a strategy sees of the market, through one web process: quotes, and the stream's crowd."""

import base64
import http.client
import itertools
import json
import os
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import migrations
from app.clients.service import KeyHasher, KeyKind, create_key, ensure_client
from app.database import Database
from app.redis_client import connect
from benchmarks.embedded import free_port
from benchmarks.report import Row
from market.catalogue import simulated_catalogue
from market.engine import BookKey, Order, Side, VenueBooks
from market.feed import BookPublisher
from market.sources import SimulatedSource

SUBSCRIBERS = 200
UPDATES_PER_S = 50
MEASURED_S = 10.0
QUOTE_THREADS = 8
QUOTES_S = 5.0
PAIR = "BTC-USD"
# Within the spread of the simulated books: nobody else bids it.
_BID_1E9 = 65_000_000_000_000
_READY_WITHIN_S = 60.0
_LAST_WITHIN_S = 20.0
_KEY = base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class Site:
    """One gunicorn worker, its Redis, and a key."""

    host: str
    redis_url: str
    key: str
    pid: int


def rows() -> list[Row]:
    """Quotes a second with their 99th percentile, then the crowd of the stream."""
    with _site() as site:
        publisher = _Ticker(site)
        return [*_quotes(site, publisher), *_crowd(site, publisher)]


class _Ticker:
    """Publishes as the market process does; with each tick the best bid grows by a step."""

    def __init__(self, site: Site) -> None:
        self.now_ns = time.time_ns()
        self.catalogue = simulated_catalogue(7, self.now_ns // 10**9)
        self.books = VenueBooks()
        SimulatedSource(self.catalogue, 7, self.now_ns).advance(self.books, self.now_ns)
        self._publisher = BookPublisher(connect(site.redis_url))
        self._count = 0
        self.tick()

    @property
    def size_1e8(self) -> int:
        """The size at the best bid: it says how many ticks there were."""
        return 10**8 + self._count

    def tick(self) -> None:
        """One change of the pair's book on one exchange."""
        book = self.books[BookKey("kraken", PAIR)]
        book.cancel(f"tick-{self._count}")
        self._count += 1
        order = Order(f"tick-{self._count}", "bench", Side.BUY, _BID_1E9, self.size_1e8)
        if book.submit(order).trades:
            raise SystemExit("the pair's book is not where it was: choose another price")
        self._publisher.publish(self.books, self.catalogue, time.time_ns())


def _quotes(site: Site, ticker: _Ticker) -> list[Row]:
    program = _LOAD.format(host=site.host, key=site.key, path=f"/v1/quotes/{PAIR}", s=QUOTES_S)
    load = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(QUOTE_THREADS)
    ]
    late_ms: list[float] = []
    before_s = _cpu_s(site.pid)
    while any(one.poll() is None for one in load):
        ticker.tick()
        time.sleep(0.05)
    for one in load:
        late_ms += json.loads(one.communicate()[0])
    used_ms = (_cpu_s(site.pid) - before_s) * 1000 / len(late_ms)
    p99 = statistics.quantiles(late_ms, n=100)[98]
    note = f"{QUOTE_THREADS} callers at once"
    return [
        Row("quotes of a pair of three exchanges", [len(late_ms) / QUOTES_S], "/s", note=note),
        Row("the same, each", late_ms, "ms"),
        Row("the same, 99th percentile", [p99], "ms"),
        Row("the same, time of the web process's core", [used_ms], "ms"),
    ]


def _crowd(site: Site, ticker: _Ticker) -> list[Row]:
    sockets = []
    for _ in range(SUBSCRIBERS):
        ticker.tick()  # else the market would be taken for dead
        sockets.append(_subscribe(site))
    began_s, before_s = time.monotonic(), _cpu_s(site.pid)
    late_ms, sizes = _listen(sockets, ticker)
    core = (_cpu_s(site.pid) - before_s) / (time.monotonic() - began_s) * 100
    for one in sockets:
        one.close()
    ticks = int(MEASURED_S * UPDATES_PER_S)
    expected = sizes[0]
    is_whole = min(map(len, sizes)) >= ticks and all(
        one[-ticks:] == expected[-ticks:] for one in sizes
    )
    steps = [after - before for before, after in itertools.pairwise(expected)]
    gaps = sum(step != 1 for step in steps[1 - ticks :]) + (not is_whole)
    p99 = statistics.quantiles(late_ms, n=100)[98]
    name = f"{SUBSCRIBERS} subscribers, {UPDATES_PER_S} updates/s each: publication to subscriber"
    note = f"{len(late_ms) / MEASURED_S:.0f} frames/s"
    return [
        Row(name, late_ms, "ms", target=50.0, note=note),
        Row("the same, 99th percentile", [p99], "ms"),
        Row("the same, gaps", [float(gaps)], "", target=0.0),
        Row("the same, core of the web process", [core], "%"),
    ]


def _listen(sockets: list[socket.socket], ticker: _Ticker) -> tuple[list[float], list[list[int]]]:
    """Milliseconds from each publication to its arrival, and the sizes that each one saw."""
    late_ms: list[float] = []
    seen: dict[socket.socket, list[int]] = {one: [] for one in sockets}
    rest = dict.fromkeys(sockets, b"")
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ)
        # What came before is published by then: it does not melt into the first of these.
        ticks, due_s = 0, time.monotonic() + 1.0
        total = int(MEASURED_S * UPDATES_PER_S)
        while ticks < total or not (
            all(one[-1:] == [ticker.size_1e8] for one in seen.values())
            or time.monotonic() > due_s + _LAST_WITHIN_S
        ):
            if ticks < total and time.monotonic() >= due_s:
                ticker.tick()
                # Never two at once to catch up: the publisher would make one of them.
                ticks, due_s = ticks + 1, time.monotonic() + 1 / UPDATES_PER_S
            for key, _ in selector.select(0.002):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                frames, rest[one] = _frames(rest[one] + one.recv(1 << 20))
                now_ns = time.time_ns()
                for data in frames:
                    late_ms.append((now_ns - data["ts_ns"]) / 1e6)
                    seen[one].append(round(data["bid_sz"] * 10**8))
    return late_ms, [sizes[1:] for sizes in seen.values()]


def _frames(data: bytes) -> tuple[list[dict[str, float]], bytes]:
    """The news in these bytes, and what is left of them."""
    found = []
    while len(data) >= 4:
        size, start = data[1], 2
        if size == 126:
            (size,), start = struct.unpack("!H", data[2:4]), 4
        if len(data) < start + size:
            break
        if data[0] == 0x81:
            message = json.loads(data[start : start + size])
            if "channel" in message:
                found.append(message["data"])
        data = data[start + size :]
    return found, data


def _subscribe(site: Site) -> socket.socket:
    host, _, port = site.host.partition(":")
    one = socket.create_connection((host, int(port)))
    lines = [
        "GET /v1/stream HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Authorization: Bearer {site.key}",
    ]
    one.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += one.recv(1)
    if b" 101 " not in answer:
        raise SystemExit(f"no stream: {answer.decode()}")
    message = json.dumps({"subscribe": [f"prices:{PAIR}"]}).encode()
    one.sendall(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
    return one


@contextmanager
def _site() -> Iterator[Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sequence-bench-")))
        url, redis_port, port = f"sqlite:///{folder}/sequence.db", free_port(), free_port()
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        redis_server = shutil.which("redis-server") or "redis-server"
        options = ("--port", str(redis_port), "--bind", "127.0.0.1", "--save", "")
        _started(stack, [redis_server, *options, "--dir", str(folder)], {})
        with closing(Database(url)) as database:
            migrations.upgrade(database)
            with database.transaction() as session:
                client = ensure_client(session, "bench")
                kind = KeyKind(False, "bench")
                key = create_key(session, KeyHasher(_KEY), client.client_id, kind).raw
        environ = {
            **{"DATABASE_URL": url, "REDIS_URL": redis_url, "PORT": str(port)},
            **{"CREDENTIAL_PUBLIC_KEY": _KEY, "API_KEY_HASH_KEY": _KEY, "RATE_LIMIT_QPS": "0"},
            **{"WEB_CONCURRENCY": "1", "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "warning"},
        }
        config = ("--config", "deploy/gunicorn.conf.py", "app.wsgi:app")
        master = _started(stack, [sys.executable, "-m", "gunicorn", *config], environ)
        host = f"127.0.0.1:{port}"
        _wait_until_ready(host)
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        yield Site(host, redis_url, key, int(children[0]))


def _started(stack: ExitStack, command: list[str], environ: dict[str, str]) -> int:
    process = subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait, 30)
    stack.callback(process.send_signal, signal.SIGTERM)
    return process.pid


def _wait_until_ready(host: str) -> None:
    until_s = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until_s:
        try:
            with closing(http.client.HTTPConnection(host, timeout=5)) as connection:
                connection.request("GET", "/v1/health/live")
                if connection.getresponse().status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"no web process answers on {host}")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_LOAD = """
import http.client, json, time
connection = http.client.HTTPConnection({host!r}, timeout=30)
headers = {{"Authorization": "Bearer {key}"}}
late_ms, until = [], time.monotonic() + {s}
while time.monotonic() < until:
    began = time.monotonic()
    connection.request("GET", {path!r}, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    late_ms.append((time.monotonic() - began) * 1000)
print(json.dumps(late_ms))
"""
