"""Waiting for a condition, never for a length of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 15.0
_LOOK_EVERY_S = 0.005


def wait_until(
    met: Callable[[], T], what: str | Callable[[], str], deadline_s: float = DEADLINE_S
) -> T:
    """The first true answer of `met`; fails the test with `what` when there is none before the
    deadline."""
    ends_at = time.monotonic() + deadline_s
    while not (answer := met()):
        if time.monotonic() > ends_at:
            missing = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {deadline_s:g} s: {missing}")
        time.sleep(_LOOK_EVERY_S)
    return answer
