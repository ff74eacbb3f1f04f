"""The web tier's metrics: those of all workers together, for whoever has the token alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.api import Web, web
from support.gunicorn_server import GunicornServer
from support.owners import Rows
from support.waiting import wait_until

TOKEN = "a-token-that-nobody-guesses"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


@pytest.fixture
def one(sqlite_url: str, redis_url: str) -> Iterator[Web]:
    with web(sqlite_url, redis_url, METRICS_TOKEN=TOKEN) as made:
        yield made


def scraped(one: Web) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = one.flask.test_client().get("/metrics", headers=AUTHORIZED)
    assert answer.status_code == 200
    return values(answer.text)


class TestWhoMayRead:
    def test_nobody_without_a_token_of_the_operator(self, sqlite_url: str, redis_url: str) -> None:
        with web(sqlite_url, redis_url) as closed:
            answer = closed.flask.test_client().get("/metrics", headers={"Authorization": "Bearer"})
        assert answer.status_code == 403
        assert "METRICS_TOKEN" in answer.json["error"]["message"]

    def test_nobody_with_another_one(self, one: Web) -> None:
        key = one.caller().key
        for given in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {key}"):
            answer = one.flask.test_client().get("/metrics", headers={"Authorization": given})
            assert answer.status_code == 401, given
            assert answer.json["error"]["code"] == "UNAUTHORIZED"


class TestWhatIsCounted:
    def test_requests_by_pattern_and_never_by_path(self, one: Web) -> None:
        caller = one.caller()
        for number in range(3):
            caller.get(f"/strategies/{number}")
            caller.get(f"/nowhere/{number}")
            caller.call("BREW", "/strategies")
        found = scraped(one)
        row = {"route": "/v1/strategies/<strategy_id>", "method": "GET"}
        total = "sequence_http_requests_total"
        assert found[total, labels(**row, status="404")] == 3
        assert found[total, labels(route="unmatched", method="GET", status="404")] == 3
        assert found["sequence_http_request_seconds_count", labels(**row)] == 3
        kept = {dict(pairs).get("method") for name, pairs in found if name == total}
        assert kept == {"GET", "other"}

    def test_the_state_of_the_platform_by_target(self, one: Web) -> None:
        rows = Rows(one.services.database)
        rows.add_runner(queues=["default"])
        caller = one.caller()
        first = caller.created("a", start_immediately=True)["strategy_id"]
        caller.created("b", start_immediately=True)
        rows.change(first, queued_at=rows.now() - 100)
        found = scraped(one)
        here, there = labels(target="default"), labels(target="kalshi")
        assert found["sequence_queue_messages", here] == 2
        assert found["sequence_strategies_queued", here] == 2
        assert 100 <= found["sequence_queue_oldest_seconds", here] < 200
        assert found["sequence_runners_live", here] == 1
        assert found["sequence_strategies_running", here] == 0
        assert found["sequence_queue_messages", there] == 0
        assert found["sequence_up", labels(part="broker")] == 1

    def test_what_is_away_is_left_out(self, sqlite_url: str) -> None:
        with web(sqlite_url, "redis://127.0.0.1:1/0", METRICS_TOKEN=TOKEN) as one:
            found = scraped(one)
        assert found["sequence_up", labels(part="broker")] == 0
        assert found["sequence_up", labels(part="database")] == 1
        assert not [name for name, _ in found if name == "sequence_queue_messages"]


def test_all_workers_count_together(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "METRICS_TOKEN": TOKEN}
    spools = tmp_path / "spools"
    spools.mkdir()
    with GunicornServer(tmp_path, WEB_CONCURRENCY=2, TMPDIR=spools, **environ) as server:
        wait_until(lambda: len(server.workers) == 2, "both workers are there")
        (live,) = _live(server)
        asked = 40
        for _ in range(asked):
            assert server.call("GET", "/v1/health/live")[0] == 200
        assert _live(server) == [live + asked]
        assert len(list(spools.glob("sequence-metrics-*"))) == 1
    assert list(spools.glob("sequence-metrics-*")) == []


def _live(server: GunicornServer) -> list[float]:
    status, _, body = server.call("GET", "/metrics", headers=AUTHORIZED)
    assert status == 200
    row = labels(route="/v1/health/live", method="GET", status="200")
    return [
        value
        for (name, pairs), value in values(body.decode()).items()
        if name == "sequence_http_requests_total" and pairs == row
    ]
