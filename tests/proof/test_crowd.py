"""32 clients at the same few names: `make proof` for the whole minute."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from proof.crowd import CLIENTS, CrowdClient, Tally
from proof.gunicorn_server import GunicornServer, gunicorn
from proof.ledger import faults, left
from proof.scale import CROWD_S, SEED
from proof.takers import Taker, Witness, unfinished
from redis import Redis

from app.database import Database

TAKERS = 2
VERSIONS_KEPT = 3


@pytest.fixture
def server(database: Database, redis_url: str, tmp_path: Path) -> Iterator[GunicornServer]:
    settings = {"WEB_CONCURRENCY": 2, "VERSIONS_KEPT": VERSIONS_KEPT}
    with gunicorn(database, redis_url, tmp_path, **settings) as made:
        yield made


def work(server: GunicornServer, tally: Tally) -> None:
    """All clients at once, for as long as they are to."""
    clients = [CrowdClient(server, tally, SEED, number) for number in range(CLIENTS)]
    until = time.monotonic() + CROWD_S
    for client in clients:
        client.begin(until)
    for client in clients:
        client.thread.join(CROWD_S + 120)
        assert not client.thread.is_alive(), f"{client.name} waits for an answer\n{server.said}"
        assert client.failure is None, f"{client.name}: {client.failure!r}\n{server.said}"


def delete_all(server: GunicornServer) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    connection = server.connect()
    connection.request("GET", "/v1/strategies", headers=headers)
    rows = json.loads(connection.getresponse().read())["strategies"]
    for row in rows:
        connection.request("DELETE", f"/v1/strategies/{row['strategy_id']}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


def test_a_crowd_at_the_same_names(
    server: GunicornServer, database: Database, redis: Redis
) -> None:
    tally, witness = Tally(), Witness()
    takers = [Taker(database, redis, witness, number) for number in range(TAKERS)]
    for taker in takers:
        taker.start()
    try:
        work(server, tally)
    finally:
        for taker in takers:
            taker.close()
    say(f"\nseed {SEED}, {CROWD_S:g} s, {witness.runs} runs; {summary(tally)}")
    assert [taker.failure for taker in takers] == [None] * TAKERS
    assert tally.odd == [], f"seed {SEED}\n{server.said[-4000:]}"
    assert witness.twice == []
    assert unfinished(database) == []
    assert faults(database) == []
    delete_all(server)
    assert left(database) == {}
    assert (witness.runs > 0) and (tally.statuses["create", 200] > 0)


def summary(tally: Tally) -> str:
    return ", ".join(
        f"{what} {status}: {n}" for (what, status), n in sorted(tally.statuses.items())
    )


def say(what: str) -> None:
    """For whoever runs it with -s, and for the report of a failure."""
    sys.stdout.write(f"{what}\n")
