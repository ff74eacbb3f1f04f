"""Reading a strategy's log: pages, gaps, and following it live across runs and outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import update
from support.api import Caller, Web, error, web
from support.following import Event, Reader
from support.following import parse as parse_event
from support.owners import Rows, claimed, claims_of, ended, shipping, write
from support.redis_server import RedisServer
from support.waiting import wait_until
from werkzeug.test import TestResponse

from app.database import database_now
from app.logs import stream
from app.logs.cursor import Cursor, parse
from app.logs.follow import Follower
from app.models import Run
from tasks.claims import Claim, Claims
from tasks.ending import Cause, Ending
from tasks.logs.shipper import LogShipper, RunLog


class Stage:
    """A strategy whose runs are played by hand, with a real shipper and real rows."""

    def __init__(self, one: Web, redis_url: str, shipper: LogShipper) -> None:
        self.web = one
        self.caller: Caller = one.caller()
        self.claims: Claims = claims_of(one.services.database)
        self.rows = Rows(one.services.database)
        self.shipper = shipper
        self.redis_url = redis_url
        self.id: str = self.caller.created()["strategy_id"]
        self.readers: list[Reader] = []
        self.followers: list[Follower] = []

    def start(self) -> None:
        self.caller.ask(self.id, "start")

    def run(self, *lines: str) -> tuple[Claim, RunLog]:
        """Claim what waits and write these lines."""
        claim = claimed(self.claims, self.id)
        run_log = self.shipper.open(self.id, claim.run_id)
        write(run_log, *lines)
        return claim, run_log

    def end(self, run: tuple[Claim, RunLog], ending: Ending | None = None) -> None:
        """End a run as a runner does: the row first, then the last line."""
        claim, run_log = run
        self.claims.finish(claim, ending or ended(0))
        run_log.close("the end")

    def stored(self, run: tuple[Claim, RunLog], count: int) -> None:
        """Until that many lines are in Redis."""
        with self.web.services.redis.client() as redis:
            wait_until(
                lambda: len(stream.read_after(redis, run[0].run_id, 0, 100_000)) >= count,
                f"{count} lines are stored",
            )

    def follow(self, after: Cursor | None = None) -> Reader:
        principal = self.web.principal(self.caller)
        follower = Follower(self.web.services, principal, self.id, after)
        reader = Reader(follower.events())
        self.readers.append(reader)
        self.followers.append(follower)
        reader.wait_begun()
        return reader

    def age(self) -> None:
        """All runs so far ended a minute ago."""
        with self.web.services.database.transaction() as session:
            session.execute(update(Run).values(ended_at=database_now() - 60))

    def followed(self, headers: dict[str, str] | None = None) -> tuple[TestResponse, list[Event]]:
        """All events of one that is over, by HTTP."""
        path = f"/strategies/{self.id}/logs?follow=true"
        answer = self.caller.get(path, headers=headers or {})
        blocks = answer.get_data(as_text=True).split("\n\n")
        events = [parse_event(block) for block in blocks if block]
        return answer, [event for event in events if event is not None]

    def page(self, **query: Any) -> dict[str, Any]:
        return self.caller.logs(self.id, **query)

    def lines(self, **query: Any) -> list[str]:
        return [line["line"] for line in self.page(**query)["logs"]]


@contextmanager
def staged(database_url: str, redis_url: str, **options: Any) -> Iterator[Stage]:
    with web(database_url, redis_url) as one, shipping(redis_url, **options) as shipper:
        stage = Stage(one, redis_url, shipper)
        yield stage
        if stage.readers:
            # Whoever still reads is told that it is over.
            stage.rows.change(stage.id, deleted_at=1.0)
            stream.notify(one.services.redis, stage.id)
            for reader in stage.readers:
                reader.outcome()


@pytest.fixture
def stage(sqlite_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(sqlite_url, redis_url) as made:
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


class TestFollow:
    def test_over_http(self, stage: Stage) -> None:
        stage.start()
        run = stage.run("one", "two\u2028still two")
        stage.end(run)
        answer, events = stage.followed()
        assert answer.status_code == 200
        assert answer.mimetype == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        assert [event.id for event in events] == ["1-1", "1-2", "1-3", None]
        assert [event.data for event in events[:-1]] == stage.page()["logs"]
        assert events[1].data["line"] == "two\u2028still two"
        assert events[-1].name == "end"
        assert events[-1].data == {
            "status": "stopped",
            "status_reason": "completed",
            "exit_code": 0,
            "run_id": run[0].run_id,
        }

    def test_it_waits_for_one_that_never_started(self, stage: Stage) -> None:
        reader = stage.follow()
        stage.start()
        run = stage.run("at last")
        reader.wait_for("at last")
        stage.end(run)
        assert reader.outcome()["status_reason"] == "completed"
        assert reader.lines == ["at last", "the end"]

    def test_it_goes_on_across_restarts(self, stage: Stage) -> None:
        reader = stage.follow()
        stage.start()
        first = stage.run("first")
        stage.end(first, ended(1))
        second = stage.run("second")
        reader.wait_for("second")
        stage.end(second, ended(1))
        stage.rows.change(stage.id, status="queued")
        third = stage.run("third")
        stage.end(third)
        assert reader.outcome()["run_id"] == third[0].run_id
        assert reader.lines == ["first", "the end", "second", "the end", "third", "the end"]
        assert reader.ids == ["1-1", "1-2", "2-1", "2-2", "3-1", "3-2"]

    def test_it_resumes_at_the_last_event(self, stage: Stage) -> None:
        stage.start()
        first = stage.run("a", "b", "c")
        stage.end(first, ended(1))
        second = stage.run("d")
        stage.stored(second, 1)
        stage.end(second)
        stage.stored(second, 2)
        stage.age()
        everything = stage.follow(Cursor(1, 0))
        everything.outcome()
        assert everything.ids == ["1-1", "1-2", "1-3", "1-4", "2-1", "2-2"]
        for place, last_id in enumerate(everything.ids, 1):
            _, events = stage.followed({"Last-Event-ID": str(last_id)})
            assert [event.id for event in events[:-1]] == everything.ids[place:]

    def test_it_begins_with_the_present_run(self, stage: Stage) -> None:
        stage.start()
        stage.end(stage.run("old"))
        stage.start()
        reader = stage.follow()
        run = stage.run("new")
        reader.wait_for("new")
        stage.end(run)
        reader.outcome()
        assert reader.lines == ["new", "the end"]

    def test_one_that_is_over_is_told_to_its_end(self, stage: Stage) -> None:
        stage.start()
        run = stage.run("one")
        stage.end(run)
        stage.stored(run, 2)
        reader = stage.follow()
        assert reader.outcome()["status"] == "stopped"
        assert reader.lines == ["one", "the end"]

    def test_the_last_lines_are_waited_for(self, stage: Stage) -> None:
        stage.start()
        run = stage.run("one")
        stage.stored(run, 1)
        # The row says that it is over before its last lines are in Redis: that is the order
        # in which a runner reports.
        stage.claims.finish(run[0], ended(0))
        reader = stage.follow()
        reader.wait_for("one")
        stream.notify(stage.web.services.redis, stage.id)
        wait_until(lambda: stage.followers[-1]._run.ended_at, "it knows that the run has ended")
        write(run[1], "two")
        run[1].close("the end")
        reader.outcome()
        assert reader.lines == ["one", "two", "the end"]

    def test_it_does_not_wait_for_ever_for_lines_that_were_lost(self, stage: Stage) -> None:
        stage.start()
        claim, _ = stage.run("one")
        stage.claims.finish(claim, ended(0))
        stage.age()
        assert stage.follow().outcome()["status"] == "stopped"

    def test_it_ends_when_what_waits_is_stopped(self, stage: Stage) -> None:
        stage.start()
        reader = stage.follow()
        stage.start()
        stage.end(stage.run("one"), ended(1))
        reader.wait_for("the end")
        stage.caller.ask(stage.id, "stop")
        assert reader.outcome()["status_reason"] == "stopped_by_user"

    def test_it_ends_when_the_strategy_is_deleted(self, stage: Stage) -> None:
        reader = stage.follow()
        stage.caller.delete(stage.id)
        assert reader.outcome()["status"] == "deleted"

    def test_a_run_that_lost_its_runner_is_passed_over(self, stage: Stage) -> None:
        stage.start()
        stage.run("of the lost one")
        reader = stage.follow()
        reader.wait_for("of the lost one")
        stage.claims.take_back(["runner-1"])
        run = stage.run("of the next one")
        reader.wait_for("of the next one")
        stage.end(run)
        assert reader.outcome()["status_reason"] == "completed"
        assert reader.lines == ["of the lost one", "of the next one", "the end"]

    def test_many_followers_see_the_same(self, stage: Stage) -> None:
        readers = [stage.follow() for _ in range(12)]
        stage.start()
        run = stage.run(*map(str, range(300)))
        stage.end(run, ended(143, Cause.TIME_OUT))
        for reader in readers:
            assert reader.outcome()["status_reason"] == "timeout"
            assert reader.lines == [*map(str, range(300)), "the end"]


class TestFollowThroughOutages:
    @pytest.mark.parametrize("outage", ["restart", "cut"])
    def test_of_redis(
        self, sqlite_url: str, own_redis: Callable[..., RedisServer], outage: str
    ) -> None:
        server = own_redis(persistent=True)
        with staged(sqlite_url, server.url) as stage:
            stage.start()
            run = stage.run("before")
            reader = stage.follow()
            reader.wait_for("before")
            server.restart() if outage == "restart" else server.cut_connections()
            write(run[1], "after")
            reader.wait_for("after")
            stage.end(run)
            reader.outcome()
            assert reader.lines == ["before", "after", "the end"]

    def test_of_redis_while_the_run_ends(
        self, sqlite_url: str, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = own_redis(persistent=True)
        with staged(sqlite_url, server.url) as stage:
            stage.start()
            run = stage.run("before")
            reader = stage.follow()
            reader.wait_for("before")
            server.kill()
            write(run[1], "meanwhile")
            stage.end(run)
            server.start()
            reader.outcome()
            assert reader.lines == ["before", "meanwhile", "the end"]

    def test_of_the_database(self, postgres: Any, postgres_url: str, redis_url: str) -> None:
        with staged(postgres_url, redis_url) as stage:
            stage.start()
            run = stage.run("before")
            reader = stage.follow()
            reader.wait_for("before")
            postgres.cut_connections()
            write(run[1], "after")
            reader.wait_for("after")
            wait_until(lambda: stage.caller.get().status_code == 200, "the database is back")
            stage.end(run)
            assert reader.outcome()["status"] == "stopped"


def test_following_does_not_use_up_the_connections_of_the_rest(
    sqlite_url: str, redis_url: str
) -> None:
    with staged(sqlite_url, redis_url) as stage:
        for _ in range(40):
            stage.follow()
        assert stage.caller.get().status_code == 200
        assert stage.page()["logs"] == []
        pool = stage.web.services.database.engine.pool
        wait_until(lambda: pool.checkedout() == 0, "no follower holds a connection")


def test_a_cursor_of_the_log_is_what_a_client_sends_back(
    sqlite_url: str, redis_url: str, redis: Redis
) -> None:
    with staged(sqlite_url, redis_url) as stage:
        stage.start()
        run = stage.run("x")
        stage.stored(run, 1)
        assert parse(stage.page()["logs"][0]["id"], "after") == Cursor(1, 1)
        assert redis.exists(stream.logs_key(run[0].run_id))
