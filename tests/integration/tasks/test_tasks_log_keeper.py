"""Lines that outlive Redis: archived once, whatever happens meanwhile, and forgotten in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import update
from support.api import error
from support.owners import ended, write
from support.redis_server import RedisServer
from support.staging import Stage, staged
from support.waiting import wait_until

from app.logs import stream
from app.logs.archive import Archive
from app.logs.chunks import ChunkStore
from app.logs.models import LogChunk
from app.logs.retention import Forgetting, Retention
from app.logs.source import LogSource
from app.logs.stream import Block
from tasks.logs.keeper import LogKeeper, LogSweep

DAY_S = 86_400


def sweep_of(stage: Stage, url: str = "", *, days: float = 0, max_bytes: int = 1 << 30) -> LogSweep:
    services = stage.web.services
    source = LogSource(services.database, services.redis, ChunkStore(url))
    return LogSweep(Archive(source), Forgetting(source, Retention(days, max_bytes, 20)))


@pytest.fixture(params=["sqlite", "postgresql", "objects"])
def archive(request: pytest.FixtureRequest) -> str:
    """Where the archive is: in a database of this kind, or in files beside one."""
    return str(request.param)


@pytest.fixture
def url(archive: str, tmp_path: Path) -> str:
    return f"file://{tmp_path}/archive" if archive == "objects" else ""


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, archive: str, redis_url: str, url: str
) -> Iterator[Stage]:
    kind = "postgres_url" if archive == "postgresql" else "sqlite_url"
    with staged(request.getfixturevalue(kind), redis_url, LOG_ARCHIVE_URL=url) as made:
        yield made


def over(stage: Stage, *lines: str) -> str:
    """A run that wrote these lines and ended a minute ago; its id."""
    stage.start()
    run = stage.run(*lines)
    stage.end(run)
    stage.stored(run, len(lines) + 1)
    stage.age()
    return run[0].run_id


def chunks(stage: Stage) -> list[LogChunk]:
    with stage.web.services.database.reading() as session:
        return list(session.query(LogChunk).order_by(LogChunk.created_at, LogChunk.after_number))


def objects(url: str) -> list[Path]:
    return list(Path(url.removeprefix("file://") or "/nowhere").rglob("*.z"))


def test_what_has_ended_is_archived_once(stage: Stage, redis: Redis, url: str) -> None:
    run_id = over(stage, *map(str, range(2000)))
    before = stage.page(limit=5000)
    sweep = sweep_of(stage, url)
    assert sweep.run_once() == 2001
    assert sweep.run_once() == 0
    assert 0 < redis.ttl(stream.logs_key(run_id)) <= 600
    assert stage.page(limit=5000) == before
    redis.delete(stream.logs_key(run_id))
    assert stage.page(limit=5000) == before
    assert bool(objects(url)) == bool(url)
    [chunk] = chunks(stage)
    assert chunk.stored_bytes < chunk.raw_bytes
    assert stage.follow().outcome()["status"] == "stopped"
    assert stage.readers[-1].lines == [line["line"] for line in before["logs"]]


def test_a_crash_between_archiving_and_trimming_stores_nothing_twice(
    stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(stage, *map(str, range(100)))
    before = stage.page()
    with monkeypatch.context() as patched:
        patched.setattr(stream, "trim", _crash)
        with pytest.raises(RedisError):
            sweep_of(stage, url).run_once()
    assert stage.page() == before
    assert sweep_of(stage, url).run_once() == 0
    assert len(chunks(stage)) == 1
    assert stage.page() == before


def _crash(*_: object) -> None:
    raise RedisError("on purpose")


def test_many_archivers_at_once(stage: Stage, url: str) -> None:
    for number in range(5):
        over(stage, *(f"{number} {place}" for place in range(200)))
    sweeps = [sweep_of(stage, url) for _ in range(4)]
    threads = [threading.Thread(target=sweep.run_once) for sweep in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chunks(stage)) == 5
    assert len(stage.page(run_id="all", limit=5000)["logs"]) == 5 * 201


def test_a_long_run_is_archived_while_it_lasts(
    sqlite_url: str, redis_url: str, redis: Redis
) -> None:
    with staged(sqlite_url, redis_url, max_lines=16_000) as stage:
        stage.start()
        run = stage.run()
        sweep = sweep_of(stage)
        for block in range(48):
            data = b"".join(b"%d\n" % (block * 1000 + number) for number in range(1000))
            run[1].add(Block(10**12, "stdout", 1000, data))
            if block % 5 == 4:
                wait_until(lambda: not run[1].has_pending, "it is on its way")
                sweep.run_once()
        stage.end(run)
        wait_until(lambda: run[1].is_done, "all is stored")
        sweep.run_once()
        assert redis.xlen(stream.logs_key(run[0].run_id)) < 30
        seen, after = [], "1-0"
        while after:
            page = stage.page(after=after, limit=10_000)
            seen += [line["line"] for line in page["logs"]]
            after = page["next_after"]
        assert seen == [*map(str, range(48_000)), "the end"]


def test_what_was_trimmed_before_the_archive_came_is_marked(
    sqlite_url: str, redis_url: str
) -> None:
    with staged(sqlite_url, redis_url, max_lines=100) as stage:
        stage.start()
        run = stage.run("first")
        stage.stored(run, 1)
        sweep = sweep_of(stage)
        stream_due(stage, run[0].run_id)
        assert sweep.run_once() == 1
        for block in range(20):
            write(run[1], *(f"{block} {number}" for number in range(50)))
            wait_until(lambda: not run[1].has_pending and run[1]._in_flight is None, "it is stored")
        stage.end(run)
        wait_until(lambda: run[1].is_done, "all is stored")
        sweep.run_once()
        lines = stage.page(limit=5000)["logs"]
        assert lines[0]["line"] == "first"
        gone = int(lines[1]["line"].split()[0])
        assert lines[1]["line"] == f"{gone} lines of this run are not kept any more"
        assert gone > 500
        assert gone + len(lines) - 1 == 1002


def stream_due(stage: Stage, run_id: str) -> None:
    stage.web.services.redis.sadd(stream.DUE_KEY, run_id)


def test_lines_that_come_after_the_archive_was_closed_are_not_lost(
    stage: Stage, url: str, redis: Redis
) -> None:
    """As when Redis was away for long while the run ended."""
    stage.start()
    run = stage.run("one")
    stage.stored(run, 1)
    stage.claims.finish(run[0], ended(0))
    stage.age()
    sweep = sweep_of(stage, url)
    sweep.run_once()
    assert stage.rows.runs(stage.id)[0].logs_archived_at is not None
    write(run[1], "late")
    run[1].close("the end")
    stage.stored(run, 3 - 1)
    wait_until(lambda: run[1].is_done, "all is stored")
    sweep.run_once()
    redis.delete(stream.logs_key(run[0].run_id))
    assert stage.lines() == ["one", "late", "the end"]


def test_old_lines_are_forgotten_and_marked(stage: Stage, url: str) -> None:
    over(stage, "old")
    sweep_of(stage, url).run_once()
    with stage.web.services.database.transaction() as session:
        session.execute(update(LogChunk).values(created_at=stage.rows.now() - 3 * DAY_S))
    young = over(stage, "young")
    sweep_of(stage, url, days=2).run_once()
    assert [chunk.run_id for chunk in chunks(stage)] == [young]
    assert len(objects(url)) == (1 if url else 0)


def test_a_strategy_has_so_many_bytes(stage: Stage, url: str) -> None:
    for number in range(4):
        over(stage, *(f"{number} {place * 7919}" for place in range(3000)))
        sweep_of(stage, url).run_once()
    sizes = [chunk.stored_bytes for chunk in chunks(stage)]
    newest = chunks(stage)[-2:]
    sweep_of(stage, url, max_bytes=sum(sizes[-2:])).run_once(is_thorough=True)
    assert [chunk.run_id for chunk in chunks(stage)] == [chunk.run_id for chunk in newest]
    assert len(objects(url)) == (2 if url else 0)


def test_deleting_a_strategy_purges_everything(stage: Stage, url: str, redis: Redis) -> None:
    over(stage, "one")
    sweep = sweep_of(stage, url)
    sweep.run_once()
    assert chunks(stage)
    stage.caller.delete(stage.id)
    sweep.run_once(is_thorough=True)
    assert chunks(stage) == []
    assert objects(url) == []
    assert redis.keys("logs:*") == []
    error(stage.caller.get(f"/strategies/{stage.id}/logs"), 404, "NOT_FOUND")


def test_what_lost_its_row_is_removed(stage: Stage, url: str, redis: Redis) -> None:
    """As when Redis was away at the moment at which an old run was pruned."""
    first = over(stage, "first")
    sweep = sweep_of(stage, url)
    sweep.run_once()
    stage.claims._runs_kept = 1
    second = over(stage, "second")
    assert redis.exists(stream.logs_key(first))
    redis.set("logs-of-somebody-else", "stays")
    sweep.run_once(is_thorough=True)
    assert redis.keys("logs:*") == [stream.logs_key(second).encode()]
    assert redis.exists("logs-of-somebody-else")
    assert [chunk.run_id for chunk in chunks(stage)] == [second]
    assert len(objects(url)) == (1 if url else 0)


def test_a_stream_that_cannot_be_read_leaves_the_others(
    stage: Stage, url: str, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    broken = over(stage, "one")
    redis.delete(stream.logs_key(broken))
    redis.xadd(stream.logs_key(broken), {"odd": "entry"}, id="1-0")
    over(stage, "two")
    sweep = sweep_of(stage, url)
    assert sweep.run_once() == 2
    assert "log_not_archived" in caplog.text
    assert sweep.run_once() == 0


def test_the_keeper_goes_on_when_redis_is_back(
    sqlite_url: str, own_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = own_redis(persistent=True)
    with staged(sqlite_url, server.url) as stage:
        over(stage, "one")
        server.kill()
        keeper = LogKeeper(sweep_of(stage))
        keeper.start()
        wait_until(lambda: "log_sweep_failed" in caplog.text, "it is told")
        server.start()
        wait_until(lambda: chunks(stage), "it is archived")
        keeper.close()
        assert not keeper.is_alive()
