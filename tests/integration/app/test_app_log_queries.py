"""What a reader may ask of a log: either direction, filters, times, every run; and the archive."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.api import error
from support.owners import ended, write
from support.staging import Stage, staged
from support.waiting import wait_until

from app.logs import stream
from app.logs.archive import Archive
from app.logs.cursor import Cursor
from app.logs.follow import Follower
from app.logs.stream import Block, block_of
from tasks.logs.run_log import RunLog

START_MS = 1_777_414_125_000


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    with staged(database_url, redis_url) as made:
        yield made


@pytest.fixture(params=["in Redis", "archived", "half of it archived"])
def told(request: pytest.FixtureRequest, stage: Stage) -> Stage:
    """Forty lines a second apart: orders on stdout, every fourth one an error; then the end."""
    stage.start()
    run = stage.run()
    for number in range(1, 41):
        order = {"event": "filled" if number % 2 else "sent", "qty": number, "o": {"px": 1.5}}
        text = f"error {number}" if number % 4 == 0 else json.dumps(order)
        channel = "stderr" if number % 4 == 0 else "stdout"
        run[1].add(block_of(START_MS + number * 1000, channel, text))
        stage.stored(run, number)
        if number == 20 and request.param == "half of it archived":
            archive(stage)
    stage.end(run)
    stage.stored(run, 41)
    if request.param == "archived":
        archive(stage, forget=True)
    return stage


def archive(stage: Stage, *, forget: bool = False) -> None:
    """Archive every run; `forget` takes it out of Redis at once."""
    keeper = Archive(stage.web.services.logs)
    for run in stage.rows.runs(stage.id):
        keeper.archive(run)
        if forget:
            stream.delete_runs(stage.web.services.redis, [run.run_id])


def numbers(page: dict) -> list[int]:
    return [int(line["id"].partition("-")[2]) for line in page["logs"]]


def test_the_newest_without_a_cursor(told: Stage) -> None:
    assert numbers(told.page(limit=3)) == [39, 40, 41]
    assert "next_before" not in told.page(limit=3)
    page = told.page(limit=3, order="desc")
    assert (numbers(page), page["next_before"]) == ([41, 40, 39], "1-39")


def test_backwards_page_by_page(told: Stage) -> None:
    before, seen = None, []
    while True:
        page = told.page(order="desc", limit=7, **({"before": before} if before else {}))
        seen += numbers(page)
        if (before := page["next_before"]) is None:
            break
    assert seen == list(range(41, 0, -1))
    assert numbers(told.page(before="1-11", limit=3)) == [8, 9, 10]


def test_forwards_page_by_page(told: Stage) -> None:
    after, seen = "1-0", []
    while after:
        page = told.page(after=after, limit=7)
        seen += numbers(page)
        after = page["next_after"]
    assert seen == list(range(1, 42))
    assert numbers(told.page(order="asc", limit=2)) == [1, 2]
    assert numbers(told.page(after="1-10", before="1-14")) == [11, 12, 13]


def test_filters(told: Stage) -> None:
    assert numbers(told.page(stream="stderr")) == list(range(4, 41, 4))
    assert numbers(told.page(stream="system,stderr", limit=2)) == [40, 41]
    assert numbers(told.page(grep="error 1")) == [12, 16]
    assert numbers(told.page(where="event=filled", limit=3)) == [35, 37, 39]
    query = "where=event=sent&where=qty>30&where=o.px<2"
    answer = told.caller.get(f"/strategies/{told.id}/logs?{query}")
    assert numbers(answer.json) == [34, 38]
    assert numbers(told.page(where="missing!=1")) == []
    page = told.page(stream="stderr", order="asc", limit=3)
    assert (numbers(page), page["next_after"]) == ([4, 8, 12], "1-12")


def test_times(told: Stage) -> None:
    since = START_MS + 38_000
    assert numbers(told.page(since=str(since), until=str(since + 1500))) == [38, 39]
    assert numbers(told.page(since=f"{since // 1000}", limit=2)) == [38, 39]
    assert numbers(told.page(until="2026-04-28T22:08:47Z")) == [1, 2]
    assert numbers(told.page(until="2026-04-28T22:08:48Z", limit=1, order="desc")) == [3]
    assert numbers(told.page(since="1h")) == [41]


def test_every_run(told: Stage) -> None:
    told.start()
    second = told.run("again")
    told.end(second, ended(0))
    told.stored(second, 2)
    ids = [line["id"] for line in told.page(run_id="all", limit=4)["logs"]]
    assert ids == ["1-40", "1-41", "2-1", "2-2"]
    page = told.page(run_id="all", order="desc", limit=3)
    assert page["next_before"] == "1-41"
    assert numbers(told.page(run_id="all", before="1-3")) == [1, 2]
    assert len(told.page(run_id="all", after="1-40")["logs"]) == 3


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"since": "yesterday"}, "since", "how long ago (10m, 2h, 1d)"),
        ({"until": "2026-13-01"}, "until", "Unix seconds"),
        ({"where": "filled"}, "where", "such as event=filled or qty>5"),
        ({"stream": "stdin"}, "stream", "stdout, stderr, system"),
        ({"before": "x"}, "before", "the id of a line, such as 3-17"),
        ({"order": "up"}, "order", "asc, desc"),
        ({"limit": "0"}, "limit", "1"),
        ({"folow": "true"}, "folow", "did you mean 'follow'"),
        ({"follow": "true", "order": "desc"}, "order", "leave out order"),
        ({"follow": "true", "limit": "5"}, "limit", "leave out limit"),
        ({"follow": "true", "after": "99-1"}, "after", "a run that has not begun"),
        ({"since": "1s", "until": "1h"}, "since", "later than until"),
        ({"after": "1-5", "before": "1-3"}, "after", "no line is between them"),
        ({"grep": "one\ntwo"}, "grep", "leave out the line break"),
        ({"where": "a..b=1"}, "where", "FIELD=VALUE"),
        ({"where": ".a=1"}, "where", "FIELD=VALUE"),
        ({"limit": "10001"}, "limit", "10000"),
        ({"after": "-1-0"}, "after", "the id of a line"),
        ({"grep": "\0"}, "grep", "NUL"),
    ],
)
def test_what_cannot_be_asked(stage: Stage, query: dict, field: str, says: str) -> None:
    answer = stage.caller.get(f"/strategies/{stage.id}/logs", query_string=query)
    found = error(answer, 400, "INVALID_PARAMS")
    assert found["details"][0]["field"].removesuffix(".0") == field
    assert says in found["message"]


def test_a_request_looks_through_a_bounded_part_and_says_where_it_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.start()
    run = stage.run()
    fill(run[1], 50, 1000)
    run[1].add(block_of(START_MS, "stdout", "needle"))
    stage.stored(run, 50_001)
    monkeypatch.setattr("app.logs.scan._BUDGET_BYTES", 1_000_000)
    after, requests = "1-0", 0
    while after:
        page = stage.page(after=after, grep="needle")
        after, requests = page["next_after"], requests + 1
    assert [line["line"] for line in page["logs"]] == ["needle"]
    assert 3 <= requests <= 8


def fill(run_log: RunLog, blocks: int, lines: int) -> None:
    """Lines of eighty bytes."""
    for _ in range(blocks):
        run_log.add(Block(START_MS, "stdout", lines, (b"x" * 79 + b"\n") * lines))


class TestForms:
    def test_of_following(self, told: Stage) -> None:
        told.age()
        path = f"/strategies/{told.id}/logs?follow=true&after=1-39"
        lines = told.caller.get(path, headers={"Accept": "application/x-ndjson"})
        assert lines.mimetype == "application/x-ndjson"
        assert lines.text.startswith("\n"), "a sign of life is an empty line"
        records = [json.loads(line) for line in lines.text.splitlines() if line]
        assert [record.get("id") for record in records] == ["1-40", "1-41", None]
        assert records[-1]["event"] == "end"
        assert records[-1]["exit_code"] == 0
        text = told.caller.get(path, headers={"Accept": "text/plain"})
        assert text.text.splitlines()[:2] == ["error 40", "the end"]
        assert "status stopped" in text.text.splitlines()[2]

    def test_only_what_is_wanted(self, told: Stage) -> None:
        told.age()
        path = f"/strategies/{told.id}/logs?follow=true&grep=error&after=1-30"
        text = told.caller.get(path, headers={"Accept": "text/plain"}).text
        assert text.splitlines()[:-1] == ["error 32", "error 36", "error 40"]


def test_a_reader_that_is_too_slow_is_let_go_and_resumes_without_a_gap(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.logs.feed._KEPT_BYTES", 100_000)
    stage.start()
    run = stage.run("first")
    principal = stage.web.principal(stage.caller)

    def read(after: Cursor | None) -> Iterator[str]:
        return Follower(stage.web.services, principal, stage.id, after).events()

    slow = read(None)
    while "first" not in next(slow):
        pass
    # The first may have been caught up with; the second comes from the feed.
    write(run[1], "second")
    while "second" not in next(slow):
        pass
    with stage.web.services.feeds.following(stage.id) as feed:
        fill(run[1], 60, 100)
        stage.stored(run, 6002)
        wait_until(lambda: (feed.beginning(1) or Cursor(0, 0)) > Cursor(1, 2), "it moved on")
        rest = list(slow)
        assert "event: notice" in rest[-1]
        assert '"resume_after": "1-' in rest[-1]
        at = int(rest[-1].partition('"resume_after": "1-')[2].partition('"')[0])
        stage.end(run)
        again = "".join(read(Cursor(1, at)))
    ids = [line for line in again.splitlines() if line.startswith("id: ")]
    assert ids == [f"id: 1-{number}" for number in range(at + 1, 6004)]


def test_one_reader_serves_all_followers(stage: Stage) -> None:
    readers = [stage.follow() for _ in range(10)]
    stage.start()
    run = stage.run("one")
    for reader in readers:
        reader.wait_for("one")
    assert len(stage.web.services.feeds._feeds) == 1
    assert stage.web.services.feeds._feeds[stage.id].followers == 10
    stage.end(run)
    for reader in readers:
        assert reader.outcome()["exit_code"] == 0
