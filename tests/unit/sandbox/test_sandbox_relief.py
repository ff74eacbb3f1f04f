"""Whom a host that runs out of memory ends, and in what order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.relief import MOST_HELD_TIMES, Bounds, Relief

NEVER = Bounds(available_bytes=0, unaccounted_bytes=0)


@dataclass
class Run:
    """As much of a sandbox as matters here."""

    run_name: str
    counted_bytes: int
    limit_bytes: int
    is_killed: bool = False

    def socket_bytes(self) -> int:
        return self.counted_bytes

    def check_sockets(self, held_bytes: int) -> bool:
        was_killed, over = self.is_killed, held_bytes > self.limit_bytes
        self.is_killed = was_killed or over
        return over and not was_killed


@pytest.fixture
def runs() -> list[Run]:
    large = 1000 * MOST_HELD_TIMES
    return [
        Run("idle", 0, large),
        Run("over", 1100, large),
        Run("large and within", 9000, 10 * large),
        Run("most over", 1200, large),
        Run("within", 999, large),
    ]


@pytest.fixture
def relief(runs: list[Run]) -> Iterator[Relief]:
    relief = Relief(lambda: runs, NEVER)
    yield relief
    relief.close()


def killed(runs: list[Run]) -> list[str]:
    return [run.run_name for run in runs if run.is_killed]


def test_one_after_the_other_who_can_hold_more_than_its_limit(
    relief: Relief, runs: list[Run]
) -> None:
    assert relief._end_one()
    assert killed(runs) == ["most over"]
    assert relief._end_one()
    assert killed(runs) == ["over", "most over"]
    assert not relief._end_one()
    assert killed(runs) == ["over", "most over"]


def test_of_the_host() -> None:
    bounds = Bounds.of_the_host()
    assert bounds.available_bytes == bounds.unaccounted_bytes
    assert 1 << 26 < bounds.available_bytes < 1 << 44
