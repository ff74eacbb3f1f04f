"""What is kept of logs can be set for each client; the keeper enforces it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select, update
from support.api import Caller
from support.owners import ended
from support.staging import Stage, staged

from app.admin import main, set_log_retention, show_log_retention
from app.logs.archive import Archive
from app.logs.chunks import ChunkStore
from app.logs.models import LogChunk
from app.logs.retention import Forgetting, Retention
from app.logs.source import LogSource
from app.models import Run
from tasks.logs.keeper import LogSweep

DAY_S = 86_400
DEFAULT = Retention(days=30, max_bytes=1 << 30, runs=20)


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(database_url, redis_url) as made:
        yield made


def sweep(stage: Stage, default: Retention = DEFAULT) -> None:
    services = stage.web.services
    source = LogSource(services.database, services.redis, ChunkStore(""))
    LogSweep(Archive(source), Forgetting(source, default)).run_once(is_thorough=True)


def code_of(stage: Stage, caller: Caller) -> str:
    return stage.web.principal(caller).client_code


def over(stage: Stage, count: int) -> None:
    """So many runs that are over and archived."""
    for number in range(count):
        stage.start()
        run = stage.run(*(f"{number} {place * 7919}" for place in range(50)))
        stage.end(run)
        stage.stored(run, 51)
        stage.age()
        sweep(stage, replace(DEFAULT, days=0))


def epochs(stage: Stage) -> list[int]:
    query = select(Run.epoch).join(LogChunk, LogChunk.run_id == Run.run_id).order_by(Run.epoch)
    with stage.web.services.database.reading() as session:
        return list(session.scalars(query))


def set_for(stage: Stage, **values: float | None) -> None:
    code = code_of(stage, stage.caller)
    given = {name: "default" if value is None else f"{value}" for name, value in values.items()}
    set_log_retention(stage.web.settings, code, given)


def test_days_of_one_client(stage: Stage) -> None:
    over(stage, 2)
    past = stage.rows.now() - 10 * DAY_S
    first = stage.rows.runs(stage.id)[0].run_id
    with stage.web.services.database.transaction() as session:
        session.execute(update(LogChunk).where(LogChunk.run_id == first).values(created_at=past))
    sweep(stage)
    assert epochs(stage) == [1, 2]
    set_for(stage, days=0)
    sweep(stage, replace(DEFAULT, days=7))
    assert epochs(stage) == [1, 2]
    set_for(stage, days=7.5)
    sweep(stage)
    assert epochs(stage) == [2]


def test_bytes_of_one_client(stage: Stage) -> None:
    over(stage, 3)
    with stage.web.services.database.transaction() as session:
        session.execute(update(LogChunk).values(stored_bytes=1 << 16))
    set_for(stage, bytes=2 << 16)
    sweep(stage)
    assert epochs(stage) == [2, 3]
    set_for(stage, bytes=None)
    sweep(stage, replace(DEFAULT, max_bytes=1 << 16))
    assert epochs(stage) == [3]


def test_runs_of_one_client_by_the_keeper_and_by_runners(stage: Stage) -> None:
    over(stage, 4)
    set_for(stage, runs=2)
    sweep(stage)
    assert epochs(stage) == [3, 4]
    assert [run.epoch for run in stage.rows.runs(stage.id)] == [3, 4]
    stage.start()
    stage.claims._runs_kept = 1
    verdict = stage.claims.finish(stage.run()[0], ended(0))
    assert len(verdict.purged_runs) == 1
    assert [run.epoch for run in stage.rows.runs(stage.id)] == [4, 5]


def test_a_run_that_lasts_is_never_forgotten(stage: Stage) -> None:
    over(stage, 1)
    stage.start()
    stage.run("here")
    sweep(stage, replace(DEFAULT, runs=1))
    assert [run.epoch for run in stage.rows.runs(stage.id)] == [2]


def test_other_clients_keep_theirs(stage: Stage) -> None:
    over(stage, 2)
    other = stage.web.caller("other")
    assert code_of(stage, other) != code_of(stage, stage.caller)
    set_log_retention(stage.web.settings, code_of(stage, other), {"runs": "1", "days": "0.001"})
    sweep(stage)
    assert epochs(stage) == [1, 2]


def test_what_is_set_is_shown(stage: Stage) -> None:
    code = code_of(stage, stage.caller)
    set_for(stage, days=7, runs=3)
    set_for(stage, days=None, bytes=1 << 20)
    [shown] = map(json.loads, show_log_retention(stage.web.settings, code).splitlines())
    assert shown == {
        "client": code,
        "days": None,
        "bytes": 1 << 20,
        "runs": 3,
        "default": {"days": 30.0, "bytes": 268435456, "runs": 20},
    }
    stage.web.caller("other")
    everybody = show_log_retention(stage.web.settings, None).splitlines()
    assert [json.loads(line)["client"] for line in everybody] == [code, "other"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "give one or more of --days, --bytes, --runs"),
        (["--runs", "0"], "--runs: expected 1 to 10000"),
        (["--runs", "2.5"], "a whole number"),
        (["--days", "nan"], "--days: expected 0 to 36500"),
        (["--bytes", "10"], "--bytes: expected 65536 to"),
        (["--days", "1"], "there is no client 'nobody'"),
    ],
)
def test_what_cannot_be_set(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    words: str,
) -> None:
    code = "nobody" if given == ["--days", "1"] else code_of(stage, stage.caller)
    monkeypatch.setenv("DATABASE_URL", stage.web.settings.database_url)
    assert main(["set-log-retention", code, *given]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
