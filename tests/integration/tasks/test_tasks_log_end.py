"""The end of a run's log: whoever dies before it is stored, readers are told what is missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context

import pytest
from redis import Redis
from sqlalchemy import update
from support.owners import claims_of, ended, write
from support.staging import Stage, staged

from app.database import Database, database_now
from app.logs import stream
from app.logs.archive import Archive
from app.logs.chunks import ChunkStore
from app.logs.retention import Forgetting, Retention
from app.logs.source import LogSource
from app.redis_client import connect
from app.strategies.models import Run
from app.strategies.states import Reason
from tasks.claims import Claim
from tasks.ending import Ending
from tasks.logs.bounds import Bounds
from tasks.logs.keeper import LogSweep
from tasks.logs.shipper import LogShipper

_LOST = "the end of this run's log is lost: its runner was gone before it was stored"


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(database_url, redis_url) as made:
        yield made


def sweep_of(database: Database, redis: Redis) -> LogSweep:
    source = LogSource(database, redis, ChunkStore(""))
    return LogSweep(Archive(source), Forgetting(source, Retention(0, 1 << 30, 20)))


def sweep(stage: Stage) -> int:
    return sweep_of(stage.web.services.database, stage.web.services.redis).run_once()


def killed_in(work: Callable[..., None], *given: object) -> None:
    """Do this in a process that is killed as soon as it has done it.

    Not a fork: a thread of this process may hold any lock at that moment, for ever in the child.
    """
    process = get_context("spawn").Process(target=_do_and_die, args=(work, given))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _do_and_die(work: Callable[..., None], given: tuple[object, ...]) -> None:
    work(*given)
    os.kill(os.getpid(), signal.SIGKILL)


def report_and_die(stage: Stage, claim: Claim, database_url: str, lines: int) -> None:
    """A runner that writes the end to the row, and nothing of what it has still to store."""
    killed_in(_report, stage.redis_url, stage.id, claim, database_url, lines)


def _report(redis_url: str, strategy_id: str, claim: Claim, database_url: str, lines: int) -> None:
    run_log = LogShipper(connect(redis_url), Bounds(1000, 1 << 20)).open(strategy_id, claim.run_id)
    run_log._last_number = 2
    write(run_log, *map(str, range(lines)))
    database = Database(database_url)
    claims_of(database).finish(claim, Ending(ended(0).cause, 0, log_lines=run_log.seal()))


def aged(stage: Stage, by_s: float) -> None:
    with stage.web.services.database.transaction() as session:
        session.execute(update(Run).values(ended_at=database_now() - by_s))


def test_a_runner_that_dies_before_its_last_lines_are_stored(
    stage: Stage, database_url: str, redis: Redis
) -> None:
    stage.start()
    claim, run_log = stage.run("one", "two")
    stage.stored((claim, run_log), 2)
    report_and_die(stage, claim, database_url, 40)
    assert stage.rows.runs(stage.id)[0].log_lines == 43
    aged(stage, 60)
    sweep(stage)
    assert stage.lines() == ["one", "two"], "they may still come"
    aged(stage, 400)
    sweep(stage)
    told = ["one", "two", "40 lines of this run are not kept any more", _LOST]
    assert stage.lines() == told
    assert stage.lines(order="desc") == told[::-1]
    assert stage.lines(after="1-0") == told
    assert stage.lines(after="1-42") == [_LOST]
    assert stage.lines(after="1-43") == []
    assert stage.page()["logs"][-1]["id"] == "1-43"
    redis.delete(stream.logs_key(claim.run_id))
    assert stage.lines() == told
    assert stage.lines(grep="lost") == [_LOST]
    assert sweep(stage) == 0


def test_followers_are_told_before_the_archive_knows(stage: Stage, database_url: str) -> None:
    stage.start()
    reader = stage.follow()
    claim, run_log = stage.run("one", "two")
    stage.stored((claim, run_log), 2)
    report_and_die(stage, claim, database_url, 5)
    aged(stage, 60)
    stream.notify(stage.web.services.redis, stage.id)
    assert reader.outcome()["status"] == "stopped"
    assert reader.lines == ["one", "two", "5 lines of this run are not kept any more", _LOST]
    answer, events = stage.followed({"Last-Event-ID": "1-8"})
    assert answer.status_code == 200
    assert [event.name for event in events] == ["end"]


def test_a_runner_that_was_lost_leaves_a_word(stage: Stage) -> None:
    stage.start()
    reader = stage.follow()
    run = stage.run("one")
    stage.stored(run, 1)
    stage.rows.change(stage.id, lease_expires_at=1.0)
    claims = claims_of(stage.web.services.database)
    assert claims.take_back([stage.rows.strategy(stage.id).runner_id])
    stage.age()
    sweep(stage)
    assert stage.rows.runs(stage.id)[0].reason == Reason.RUNNER_LOST
    told = ["one", f"{_LOST}; how many lines is not known"]
    assert stage.lines() == told
    again = stage.run("again")
    stage.end(again)
    stage.caller.ask(stage.id, "stop")
    reader.outcome()
    assert reader.lines[:3] == [*told, "again"]


def test_lines_that_come_after_all_take_the_place_of_the_word(stage: Stage, redis: Redis) -> None:
    stage.start()
    claim, run_log = stage.run("one")
    stage.stored((claim, run_log), 1)
    stage.claims.finish(claim, Ending(ended(0).cause, 0, log_lines=4))
    aged(stage, 400)
    sweep(stage)
    assert stage.lines()[-1] == _LOST
    write(run_log, "two", "three")
    run_log.close("the end")
    stage.stored((claim, run_log), 4)
    sweep(stage)
    assert stage.lines() == ["one", "two", "three", "the end"]
    redis.delete(stream.logs_key(claim.run_id))
    assert stage.lines() == ["one", "two", "three", "the end"]


def test_what_redis_forgot_before_it_was_archived_is_counted(stage: Stage, redis: Redis) -> None:
    stage.start()
    run = stage.run(*map(str, range(100)))
    stage.end(run)
    stage.stored(run, 101)
    redis.delete(stream.logs_key(run[0].run_id))
    aged(stage, 8 * 86_400)
    sweep(stage)
    assert stage.lines() == ["100 lines of this run are not kept any more", _LOST]


def _keep_until_it_stores(database_url: str, redis_url: str) -> None:
    mortal = sweep_of(Database(database_url), connect(redis_url))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Archive, "_store", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        mortal.run_once()


def test_a_keeper_that_is_killed_leaves_its_hint(
    stage: Stage, database_url: str, redis: Redis
) -> None:
    stage.start()
    run = stage.run("one", "two")
    stage.stored(run, 2)
    redis.sadd(stream.DUE_KEY, run[0].run_id)
    killed_in(_keep_until_it_stores, database_url, stage.redis_url)
    assert sweep(stage) == 2
    assert redis.keys("logs-due*") == []


def test_lines_after_the_seal_are_counted_in_the_last(stage: Stage) -> None:
    stage.start()
    run = stage.run("one")
    assert run[1].seal() == 2
    write(run[1], "late", "later")
    stage.end(run)
    stage.stored(run, 2)
    assert stage.lines() == ["one", "the end; 2 lines came after the end and were dropped"]
    assert stage.rows.runs(stage.id)[0].log_lines == 2
