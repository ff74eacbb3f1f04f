"""Two hundred followers on one web process while fifty strategies log."""

import json
import selectors
import socket
import statistics
import time
from pathlib import Path

from benchmarks.embedded import Platform
from benchmarks.report import Row

STRATEGIES = 50
FOLLOWERS = 200
MEASURED_S = 10.0
SETTLE_S = 3.0

_LOGS = """\
import time
while True:
    for _ in range(5):
        print(time.time(), "x" * 60)
    time.sleep(0.25)
"""


def rows(platform: Platform) -> list[Row]:
    """How late lines are, what the web process uses for it, and that every follower has its own."""
    ids = [platform.create(f"crowd-{number}", _LOGS) for number in range(STRATEGIES)]
    for strategy_id in ids:
        platform.start(strategy_id)
    for strategy_id in ids:
        platform.wait_for(strategy_id, "running")
    sockets = [_follow(platform, ids[number % STRATEGIES]) for number in range(FOLLOWERS)]
    before_s = _cpu_s(platform.pids["web"])
    late_ms, heard = _listen(sockets)
    core = (_cpu_s(platform.pids["web"]) - before_s) / (SETTLE_S + MEASURED_S) * 100
    for one in sockets:
        one.close()
    for strategy_id in ids:
        platform.call("POST", f"/v1/strategies/{strategy_id}/stop")
    for strategy_id in ids:
        platform.wait_for(strategy_id, "stopped")
    p99 = statistics.quantiles(late_ms, n=100)[98]
    note = f"{heard} of {FOLLOWERS} heard, {len(late_ms) / MEASURED_S:.0f} lines/s"
    name = f"{FOLLOWERS} followers of {STRATEGIES} strategies: line to follower"
    return [
        Row(name, late_ms, "ms", note=note),
        Row("the same, 99th percentile", [p99], "ms"),
        Row("the same, core of the web process", [core], "%"),
    ]


def _follow(platform: Platform, strategy_id: str) -> socket.socket:
    host, _, port = platform.host.partition(":")
    one = socket.create_connection((host, int(port)))
    path = f"/v1/strategies/{strategy_id}/logs?follow=true"
    key = platform.headers()["Authorization"]
    one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode())
    one.setblocking(False)
    return one


def _listen(sockets: list[socket.socket]) -> tuple[list[float], int]:
    """Milliseconds from each line's own time to its arrival; how many followers had any."""
    late_ms: list[float] = []
    heard = set()
    rest = dict.fromkeys(sockets, b"")
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        began_at = time.time() + SETTLE_S
        until = time.monotonic() + SETTLE_S + MEASURED_S
        while time.monotonic() < until:
            for key, _ in selector.select(0.1):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                data = rest[one] + one.recv(1 << 20)
                now = time.time()
                *lines, rest[one] = data.split(b"\n")
                for line in lines:
                    if line.startswith(b"data: ") and b'"stdout"' in line:
                        heard.add(one)
                        said_at = float(json.loads(line[6:])["line"].split()[0])
                        if said_at > began_at:  # not what was caught up with
                            late_ms.append((now - said_at) * 1000)
    return late_ms, len(heard)


def _cpu_s(pid: int) -> float:
    """Processor time of a process and its children so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100
