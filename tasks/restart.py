"""When a strategy that failed comes back, and when it does not any more."""

import hashlib
import random
from dataclasses import dataclass, replace

_INITIAL_S = 1.0
_MAX_S = 60.0
_RESET_AFTER_S = 600.0
_LOOP_LENGTH = 10
_LOOP_BROKEN_AFTER_S = 60.0
_JITTER = 0.2


@dataclass(frozen=True)
class FailureHistory:
    """What a strategy's row remembers of its failures.

    Attributes:
        streak: failures since the last run that lived long enough to forget them.
        signature: of the last failure; equal failures have equal ones.
        repeats: how many times that same failure came in a row.
    """

    streak: int
    signature: str | None
    repeats: int


@dataclass(frozen=True)
class Judgement:
    """What follows from one more failure; `delay_s` None means that it does not come back."""

    history: FailureHistory
    delay_s: float | None


def judge(past: FailureHistory, *, lived_s: float, failure: str | None) -> Judgement:
    """Decide about the restart after a run of `lived_s` seconds that ended with `failure`.

    The first restart is immediate, later ones wait twice as long each, up to a minute; a run of
    ten minutes resets that. The same failure ten times in a row is a crash loop; a failure of ours
    (None) is not the program's and never counts towards one.
    """
    streak = 0 if lived_s >= _RESET_AFTER_S else past.streak
    if failure is None:
        return Judgement(replace(past, streak=streak + 1), _delay_s(streak))
    signature = hashlib.sha256(failure.encode()).hexdigest()
    is_same = signature == past.signature and lived_s < _LOOP_BROKEN_AFTER_S
    repeats = past.repeats + 1 if is_same else 1
    history = FailureHistory(streak + 1, signature, repeats)
    if repeats >= _LOOP_LENGTH:
        return Judgement(history, None)
    return Judgement(history, _delay_s(streak))


def _delay_s(streak: int) -> float:
    if streak == 0:
        return 0.0
    delay = min(_MAX_S, _INITIAL_S * 2.0 ** min(streak - 1, 30))
    return delay * random.uniform(1 - _JITTER, 1)  # noqa: S311 - spreads load, guards nothing
