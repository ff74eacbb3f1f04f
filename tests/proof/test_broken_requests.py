"""Mutated create requests are answered and forgotten: `make proof` for all 10,000."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from proof.broken_requests import BrokenRequest, request
from proof.gunicorn_server import GunicornServer, gunicorn
from proof.scale import BODIES, SEED

from app.database import Database

# Archives of 64 MB unpacked are read in memory: what a request takes for a moment stays with the
# allocator, and more than that must not.
MOST_GROWTH_BYTES = 192 << 20
_PIECE_BYTES = 1000


@pytest.fixture
def server(database: Database, redis_url: str, tmp_path: Path) -> Iterator[GunicornServer]:
    # Wrong keys are to be looked at, not to be counted.
    settings = {"WEB_CONCURRENCY": 1, "VERSIONS_KEPT": 3, "AUTH_FAILURES_PER_MINUTE": 1_000_000}
    with gunicorn(database, redis_url, tmp_path, **settings) as made:
        yield made


def status_of(connection: HTTPConnection, one: BrokenRequest) -> tuple[int, bytes]:
    """Answer's status and body; 0 when a body was cut off that nobody needed to read."""
    try:
        with contextlib.suppress(BrokenPipeError):  # it may have been answered before
            send(connection, one)
        response = connection.getresponse()
        return response.status, response.read()
    except ConnectionError:
        assert one.kind == "headers", f"nobody answered: {one}"
        connection.close()
        return 0, b""


def send(connection: HTTPConnection, one: BrokenRequest) -> None:
    connection.putrequest("POST", "/v1/strategies", skip_accept_encoding=True)
    for name, text in one.headers.items():
        connection.putheader(name, text)
    if one.is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        pieces = range(0, len(one.content), _PIECE_BYTES)
        content = (one.content[at : at + _PIECE_BYTES] for at in pieces)
        connection.endheaders(content, encode_chunked=True)
    else:
        connection.putheader("Content-Length", str(len(one.content)))
        connection.endheaders(one.content)


def test_broken_requests(server: GunicornServer, database: Database) -> None:
    chance = random.Random(f"{SEED} {database.engine.dialect.name}")
    counts: Counter[tuple[str, int]] = Counter()
    connection = server.connect()
    before: dict[int, int] = {}
    for number in range(BODIES):
        one = request(chance, server.key)
        status, answer = status_of(connection, one)
        counts[one.kind, status] += 1
        told = f"seed {SEED}, number {number}, {one.kind}: {status} {answer[:300]!r}"
        assert status < 500, f"{told}\n{one.headers}\n{one.content[:2000]!r}\n{server.said}"
        assert status < 300 or not _is_ours(answer) or json.loads(answer)["error"]["code"], told
        if number == BODIES // 4:
            before = server.workers()
    connection.close()
    after = server.workers()
    grown = {pid: after[pid] - before[pid] for pid in before}
    say(f"\nseed {SEED}, {BODIES} bodies: {summary(counts)}\n{before} bytes, grown by {grown}")
    assert after.keys() == before.keys(), f"a web process died\n{server.said}"
    assert all(growth < MOST_GROWTH_BYTES for growth in grown.values())
    assert any(status in (200, 201) for _, status in counts)


def _is_ours(answer: bytes) -> bool:
    """Whether the application answered, not gunicorn, which cannot read some requests at all."""
    return answer.startswith(b"{")


def summary(counts: Counter[tuple[str, int]]) -> str:
    return ", ".join(
        f"{kind} {status}: {count}" for (kind, status), count in sorted(counts.items())
    )


def say(what: str) -> None:
    """For whoever runs it with -s, and for the report of a failure."""
    sys.stdout.write(f"{what}\n")
