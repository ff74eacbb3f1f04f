"""Logs: lines a second into Redis, from a line to its followers, pages, memory, bytes a line."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from app.logs import stream
from app.redis_client import connect
from benchmarks.embedded import Platform, free_port
from benchmarks.report import Row
from tasks.logs.bounds import Bounds
from tasks.logs.capture import Capture
from tasks.logs.limits import UNLIMITED, Rate
from tasks.logs.reader import LogReader
from tasks.logs.redaction import Redactor
from tasks.logs.shipper import LogShipper

WRITERS = 10
LINES = 100_000
FLOOD_S = 3.0
_LINE = b"x" * 79 + b"\n"
# Lines by the hundred: who prints them one by one cannot reach these figures on two cores.
_WRITES = (
    "import os, sys\nblock = (b'x' * 79 + b'\\n') * 100\nsys.stdin.read()\n"
    f"for _ in range({LINES // 100}):\n    os.write(1, block)\n"
)
_FLOODS = "import os\nblock = (b'x' * 79 + b'\\n') * 100\nwhile True:\n    os.write(1, block)\n"
_STEADY = """\
import time
began = time.monotonic()
for tick in range(500):
    for _ in range(10):
        print(time.time(), "x" * 60)
    time.sleep(max(0, began + (tick + 1) * 0.01 - time.monotonic()))
"""
_FOLLOWED = 4000


def rows() -> list[Row]:
    """What needs a Redis alone."""
    with _redis() as url:
        made = [
            _throughput(url, secrets=0, target=-250_000),
            _throughput(url, secrets=5, target=-250_000),
            _throughput(url, secrets=50),
        ]
        made += _flood(url)
    return made


def platform_rows(platform: Platform) -> list[Row]:
    """What needs the whole platform."""
    return [*_to_a_follower(platform), *_pages(platform)]


def _throughput(url: str, *, secrets: int, target: float | None = None) -> Row:
    values = {f"S{number}": os.urandom(18).hex() for number in range(secrets)}
    samples = [_store(url, Redactor(values)) / 1000 for _ in range(3)]
    name = f"lines of 80 bytes stored from {WRITERS} pipes, {secrets} secrets"
    least = None if target is None else -target / 1000
    note = (
        ""
        if least is None
        else f"at least {least:g}: {'met' if min(samples) >= least else 'MISSED'}"
    )
    return Row(name, samples, "k/s", note=note)


def _store(url: str, redactor: Redactor) -> float:
    """Lines a second until all are stored; raises unless each of them is."""
    command = [sys.executable, "-S", "-E", "-c", _WRITES]
    with _shipping(url) as (redis, reader, shipper):
        writers = [_spawn(command) for _ in range(WRITERS)]
        logs = [shipper.open("bench", f"bench-{number}") for number in range(WRITERS)]
        readings = [
            reader.watch(Capture(log, redactor, UNLIMITED), *_pipes(writer))
            for log, writer in zip(logs, writers, strict=True)
        ]
        began = time.perf_counter()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        for writer, reading, log in zip(writers, readings, logs, strict=True):
            writer.wait()
            reader.finish(reading, 10)
            log.close("the end")
        while not all(log.is_done for log in logs):
            time.sleep(0.001)
        took_s = time.perf_counter() - began
        for log in logs:
            newest = redis.xrevrange(stream.logs_key(log.run_id), count=1)
            assert newest[0][0] == b"%d-0" % (LINES + 1), "lines were lost"
        redis.flushall()
    return WRITERS * LINES / took_s


def _flood(url: str) -> list[Row]:
    """Two programs that log as fast as they can, at the default rate."""
    rate = Rate(5000, 2_000_000, 10)
    with _shipping(url) as (redis, reader, shipper):
        before_kib, before_s = _peak_kib(), time.process_time()
        writers = [_spawn([sys.executable, "-S", "-E", "-c", _FLOODS]) for _ in range(2)]
        logs = [shipper.open("bench", f"flood-{number}") for number in range(2)]
        readings = [
            reader.watch(Capture(log, Redactor({}), rate), *_pipes(writer))
            for log, writer in zip(logs, writers, strict=True)
        ]
        time.sleep(FLOOD_S)
        cpu = (time.process_time() - before_s) / FLOOD_S
        for writer, reading, log in zip(writers, readings, logs, strict=True):
            writer.kill()
            writer.wait()
            reader.finish(reading, 5)
            log.close("the end")
        while not all(log.is_done for log in logs):
            time.sleep(0.001)
        lines = sum(
            int(redis.xrevrange(stream.logs_key(log.run_id), count=1)[0][0].split(b"-")[0])
            for log in logs
        )
        stored = sum(int(redis.memory_usage(stream.logs_key(log.run_id)) or 0) for log in logs)
        grown_mib = (_peak_kib() - before_kib) / 1024
        redis.flushall()
    return [
        Row("two floods: memory of the runner grows by", [grown_mib], "MiB", 16),
        Row("two floods: core of the runner", [cpu * 100], "%"),
        Row("Redis' bytes for a stored line of 79 and its end", [stored / lines], "B"),
    ]


def _to_a_follower(platform: Platform) -> list[Row]:
    """From the strategy's clock to a follower's, at 1,000 lines a second."""
    strategy_id = platform.create("steady", _STEADY)
    samples = []
    with platform.follow(strategy_id, "1-0") as lines:
        platform.start(strategy_id)
        for _ in range(_FOLLOWED):
            arrived_at, line = next(lines)
            samples.append((arrived_at - float(line.split()[0])) * 1000)
    platform.wait_for(strategy_id, "stopped")
    p99 = statistics.quantiles(samples, n=100)[98]
    return [
        Row("line to follower at 1,000 lines/s", samples, "ms", 10),
        Row("the same, 99th percentile", [p99], "ms", 50),
    ]


def _pages(platform: Platform) -> list[Row]:
    source = f"import os\nos.write(1, {_LINE!r} * 20000)\n"
    strategy_id = platform.create("pages", source)
    platform.start(strategy_id)
    platform.wait_for(strategy_id, "stopped")
    path = f"/v1/strategies/{strategy_id}/logs"
    while platform.call("GET", f"{path}?after=1-20000")["logs"] == []:
        time.sleep(0.05)
    redis = _times(platform, f"{path}?after=1-10000")
    key = connect(platform.redis_url)
    run_id = platform.call("GET", path)["run_id"]
    while key.ttl(stream.logs_key(run_id)) > 3600 or key.ttl(stream.logs_key(run_id)) == -1:
        time.sleep(0.1)
    key.delete(stream.logs_key(run_id))
    archived = _times(platform, f"{path}?after=1-10000")
    return [
        Row("a page of 1,000 lines", redis, "ms", 20),
        Row("the same from the archive", archived, "ms", 60),
    ]


def _times(platform: Platform, path: str) -> list[float]:
    samples = []
    for _ in range(20):
        began = time.perf_counter()
        assert len(platform.call("GET", path)["logs"]) == 1000
        samples.append((time.perf_counter() - began) * 1000)
    return samples


@contextmanager
def _redis() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sequence-bench-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with (Path(folder) / "redis.log").open("wb") as log:
            process = subprocess.Popen([*command, "--dir", folder], stdout=log)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _shipping(url: str) -> Iterator[tuple[Redis, LogReader, LogShipper]]:
    redis = connect(url)
    reader, shipper = LogReader(), LogShipper(redis, Bounds(10**9, 1 << 40))
    threads: list[threading.Thread] = [reader, shipper]
    for thread in threads:
        thread.start()
    try:
        yield redis, reader, shipper
    finally:
        reader.close()
        shipper.close(5)
        redis.close()


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    writer = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    for fd in _pipes(writer):
        os.set_blocking(fd, False)
    return writer


def _pipes(writer: subprocess.Popen[bytes]) -> tuple[int, int]:
    assert writer.stdout is not None
    assert writer.stderr is not None
    return writer.stdout.fileno(), writer.stderr.fileno()


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
