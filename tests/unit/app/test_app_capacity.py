"""Who fits where, and whom a runner with room calls first."""

from __future__ import annotations

import pytest

from app.runners.capacity import UNLIMITED, Size, Waiting, called
from tasks.room import Room

RUNNER = Size(1000, 1000)


def one(name: str, memory_mb: int, waited_s: float = 0.0) -> Waiting:
    return Waiting(name, Size(100, memory_mb), waited_s)


@pytest.mark.parametrize(
    ("size", "fits"),
    [((10, 10), True), ((1000, 1000), True), ((1001, 10), False), ((10, 1001), False)],
)
def test_cpu_and_memory_have_to_fit(size: tuple[int, int], fits: bool) -> None:
    assert Size(*size).fits(RUNNER) == fits
    assert Size(*size).fits(UNLIMITED)


def test_zero_is_no_limit() -> None:
    assert Size.limit(0, 0) == UNLIMITED
    assert not Room(Size.limit(0, 0)).is_limited
    assert Size(10**6, 500).fits(Size.limit(0, 500))
    assert not Size(10**6, 501).fits(Size.limit(0, 500))
    assert str(Size.limit(0, 500)) == "any cpu_millis and 500 MB"


def test_a_room_gives_nothing_twice() -> None:
    room = Room(RUNNER)
    assert room.take("a", Size(600, 10))
    assert not room.take("b", Size(500, 10))
    assert room.take("c", Size(400, 10))
    assert (room.used, room.free) == (Size(1000, 20), Size(0, 980))
    room.release("a")
    room.release("a")
    room.release("b")
    assert room.used == Size(400, 10)


def test_first_come_first_served_as_far_as_there_is_room() -> None:
    line = [one("a", 400), one("b", 400), one("c", 400), one("d", 200)]
    assert called(line, free=RUNNER, limit=RUNNER) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("waited_s", "is_overtaken"),
    [(0, True), (59, True), (61, False), (179, False), (181, True), (419, True), (421, False)],
)
def test_a_big_one_is_overtaken_and_waited_for_in_turn(waited_s: float, is_overtaken: bool) -> None:
    line = [one("big", 900, waited_s), one("small", 100)]
    assert called(line, free=Size(1000, 500), limit=RUNNER) == ["small"] * is_overtaken
    assert called(line, free=RUNNER, limit=RUNNER) == ["big", "small"]


def test_who_came_before_the_big_one_is_not_held_up() -> None:
    line = [one("small", 100, 200), one("big", 900, 100), one("late", 100)]
    assert called(line, free=Size(1000, 500), limit=RUNNER) == ["small"]


def test_nobody_waits_for_one_that_is_larger_than_the_runner() -> None:
    line = [one("giant", 1001, 100), one("small", 100)]
    assert called(line, free=Size(1000, 500), limit=RUNNER) == ["small"]


def test_each_wait_is_kept_longer_than_the_one_before() -> None:
    """However slowly room becomes free, some day it is kept long enough."""
    line = lambda waited_s: [one("big", 900, waited_s), one("small", 100)]  # noqa: E731
    kept = [
        not called(line(seconds), free=Size(1000, 500), limit=RUNNER)
        for seconds in range(0, 16_000, 10)
    ]
    lengths, length = [], 0
    for is_kept in kept:
        length = length + 10 if is_kept else 0
        if length == 10:
            lengths.append(0)
        if is_kept:
            lengths[-1] = length
    assert lengths == [120, 480, 1920, 7680]
