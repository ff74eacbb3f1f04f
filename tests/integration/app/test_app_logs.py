"""Reading a strategy's log in pages, with a mark wherever lines are missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from support.api import error
from support.owners import write
from support.staging import Stage, staged
from support.waiting import wait_until

from app.logs import stream
from app.logs.cursor import Cursor, parse


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(database_url, redis_url) as made:
        yield made


class TestPages:
    def test_a_strategy_that_never_ran_has_no_log(self, stage: Stage) -> None:
        assert stage.page() == {
            "strategy_id": stage.id,
            "run_id": None,
            "logs": [],
            "next_after": None,
        }

    def test_the_shape_of_a_line(self, stage: Stage) -> None:
        stage.start()
        run = stage.run("one")
        run[1].write(stream.Channel.STDERR, "two ünï")
        stage.stored(run, 2)
        page = stage.page()
        assert page["run_id"] == run[0].run_id == stage.caller.row(stage.id)["run_id"]
        assert [set(line) for line in page["logs"]] == [
            {"id", "run_id", "ts_ms", "stream", "line"}
        ] * 2
        seen = [(line["id"], line["stream"], line["line"]) for line in page["logs"]]
        assert seen == [("1-1", "stdout", "one"), ("1-2", "stderr", "two ünï")]
        assert all(line["ts_ms"] > 1.6e12 for line in page["logs"])

    def test_without_a_cursor_it_is_the_newest_lines(self, stage: Stage) -> None:
        stage.start()
        run = stage.run(*map(str, range(1500)))
        stage.stored(run, 1500)
        assert stage.lines(limit=3) == ["1497", "1498", "1499"]
        assert stage.lines() == [str(number) for number in range(500, 1500)]
        assert len(stage.lines(limit=10_000)) == 1500

    def test_pages_join_without_gap_or_repeat(self, stage: Stage) -> None:
        stage.start()
        run = stage.run(*map(str, range(700)))
        stage.stored(run, 700)
        after, seen = "1-0", []
        while after:
            page = stage.page(after=after, limit=97)
            seen += [line["line"] for line in page["logs"]]
            after = page["next_after"]
        assert seen == [str(number) for number in range(700)]
        assert stage.lines(after=page["logs"][-1]["id"]) == []

    def test_an_older_run_is_read_by_its_id_or_its_cursor(self, stage: Stage) -> None:
        stage.start()
        first = stage.run("first")
        stage.end(first)
        stage.start()
        second = stage.run("second")
        stage.stored(second, 1)
        stage.stored(first, 2)
        assert stage.lines() == ["second"]
        assert stage.lines(run_id=first[0].run_id) == ["first", "the end"]
        assert stage.lines(after="1-0") == ["first", "the end"]
        assert stage.lines(run_id=first[0].run_id, after="1-1") == ["the end"]
        answer = stage.caller.get(
            f"/strategies/{stage.id}/logs",
            query_string={"run_id": first[0].run_id, "after": "2-0"},
        )
        assert "belongs to another run" in error(answer, 400, "INVALID_PARAMS")["message"]
        assert stage.lines(after="99-0") == []

    def test_trimmed_lines_are_marked(self, sqlite_url: str, redis_url: str) -> None:
        with staged(sqlite_url, redis_url, max_lines=100) as stage:
            stage.start()
            run = stage.run()
            for block in range(200):
                write(run[1], *(f"{block * 50 + number}" for number in range(50)))
                stage.stored(run, 1)
            stage.stored(run, 1)
            wait_until(lambda: stage.lines(limit=1) == ["9999"], "all lines are stored")
            page = stage.page(after="1-0", limit=10_000)["logs"]
            assert page[0]["stream"] == "system"
            gone = int(page[0]["line"].split()[0])
            assert page[0]["line"] == f"{gone} lines of this run are not kept any more"
            assert page[1]["line"] == str(gone)
            assert 100 <= len(page) - 1 == 10_000 - gone
            assert stage.page(after=page[0]["id"], limit=1)["logs"][0]["line"] == str(gone)
            reader = stage.follow()
            reader.wait_for("9999")
            assert reader.lines == [line["line"] for line in page]

    def test_lines_that_redis_lost_are_marked(self, stage: Stage, redis: Redis) -> None:
        stage.start()
        run = stage.run("one", "two")
        stage.stored(run, 2)
        redis.delete(stream.logs_key(run[0].run_id))
        write(run[1], "three")
        stage.stored(run, 1)
        assert stage.lines() == ["2 lines of this run are not kept any more", "three"]


def test_a_cursor_of_the_log_is_what_a_client_sends_back(
    sqlite_url: str, redis_url: str, redis: Redis
) -> None:
    with staged(sqlite_url, redis_url) as stage:
        stage.start()
        run = stage.run("x")
        stage.stored(run, 1)
        assert parse(stage.page()["logs"][0]["id"], "after") == Cursor(1, 1)
        assert redis.exists(stream.logs_key(run[0].run_id))
