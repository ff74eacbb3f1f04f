"""Following a strategy's log live: across its runs, and through outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.owners import ended, write
from support.redis_server import RedisServer
from support.staging import Stage, staged
from support.waiting import wait_until

from app.clients import key_watch
from app.clients.models import ApiKey
from app.logs import stream
from app.logs.cursor import Cursor
from tasks.ending import Cause


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(database_url, redis_url) as made:
        yield made


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

    def test_it_ends_with_its_key(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(key_watch, "_LOOK_EVERY_S", 0.0)
        stage.start()
        run = stage.run("before")
        reader = stage.follow()
        reader.wait_for("before")
        key_id = stage.web.principal(stage.caller).key_id
        with stage.web.services.database.transaction() as session:
            session.get_one(ApiKey, key_id).revoked_at = 1.0
        write(run[1], "after")  # which wakes whoever follows
        wait_until(lambda: "notice" in [event.name for event in reader.events], "it is told")
        assert reader.events[-1].data["reason"] == "key_ended"
        stage.readers.remove(reader)

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
        feed = stage.web.services.feeds._feeds[stage.id]
        wait_until(lambda: feed.tail._run.ended_at, "it is known that the run has ended")
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
        stage.start()  # of one that never was, the first look already says that it is stopped
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
        first, said, *others = reader.lines
        assert (first, others) == ("of the lost one", ["of the next one", "the end"])
        assert said.startswith("the end of this run's log is lost")

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
        self, database_url: str, own_redis: Callable[..., RedisServer], outage: str
    ) -> None:
        server = own_redis(persistent=True)
        with staged(database_url, server.url) as stage:
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
        self, database_url: str, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = own_redis(persistent=True)
        with staged(database_url, server.url) as stage:
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
    database_url: str, redis_url: str
) -> None:
    with staged(database_url, redis_url) as stage:
        for _ in range(40):
            stage.follow()
        assert stage.caller.get().status_code == 200
        assert stage.page()["logs"] == []
        pool = stage.web.services.database.engine.pool
        wait_until(lambda: pool.checkedout() == 0, "no follower holds a connection")
