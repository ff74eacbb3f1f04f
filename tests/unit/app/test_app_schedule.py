"""When the next tick of a schedule is, also on the days that have 23 or 25 hours."""

from __future__ import annotations

from datetime import datetime

import pytest

from app.strategies.schedule import next_tick


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def ticks(cron: str, zone: str, after: str, count: int) -> list[float]:
    found: list[float] = []
    at_s: float | None = moment(after)
    for _ in range(count):
        assert at_s is not None
        at_s = next_tick({"cron": cron, "timezone": zone}, at_s)
        assert at_s is not None
        found.append(at_s)
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # 01:00 to 02:00 does not exist: the tick comes when it is over, once.
        (
            "30 1 * * *",
            "2026-03-28T12:00+00:00",
            ["2026-03-29T02:00+01:00", "2026-03-30T01:30+01:00"],
        ),
        # 01:30 comes twice: one tick, at the first.
        (
            "30 1 * * *",
            "2026-10-24T12:00+01:00",
            ["2026-10-25T01:30+01:00", "2026-10-26T01:30+00:00"],
        ),
        # An interval goes on through the hour that comes twice.
        (
            "*/30 * * * *",
            "2026-10-25T00:40+01:00",
            ["2026-10-25T01:00+01:00", "2026-10-25T01:30+01:00", "2026-10-25T01:00+00:00"],
        ),
        # The market opens at eight there, whatever that is in UTC.
        (
            "0 8 * * MON-FRI",
            "2026-03-27T09:00+00:00",
            ["2026-03-30T08:00+01:00", "2026-03-31T08:00+01:00"],
        ),
    ],
)
def test_ticks_in_london(cron: str, after: str, expected: list[str]) -> None:
    assert ticks(cron, "Europe/London", after, len(expected)) == list(map(moment, expected))


def test_without_a_zone_it_is_utc() -> None:
    assert next_tick({"cron": "0 9 * * *"}, moment("2026-07-01T09:00+00:00")) == moment(
        "2026-07-02T09:00+00:00"
    )


def test_without_a_schedule_there_is_no_tick() -> None:
    assert next_tick({}, 0.0) is None
