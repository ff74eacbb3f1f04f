"""When a strategy that ended comes back, and when it does not any more."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

_JITTER = 0.2
_FIELDS = {
    "policy": "mode",
    "on": "on",
    "max_restarts": "max_restarts",
    "backoff_initial_secs": "backoff_initial_s",
    "backoff_max_secs": "backoff_max_s",
    "reset_after_secs": "reset_after_s",
    "crash_loop_count": "crash_loop_count",
    "crash_loop_run_secs": "crash_loop_run_s",
}


class Kind(StrEnum):
    """What ended a run, as far as a restart depends on it; the first four may stand in `on`."""

    OOM = "oom"
    TIMEOUT = "timeout"
    EXIT = "exit"  # a non-zero exit code of its own
    SIGNAL = "signal"
    STALLED = "stalled"  # it said nothing for too long
    COMPLETED = "completed"  # exit 0
    PLATFORM = "platform"  # ours: we could not run it


@dataclass(frozen=True)
class RestartPolicy:
    """`[hosted.restart]` of one strategy; the defaults are the platform's.

    Attributes:
        on: the kinds of ending after which it comes back.
        max_restarts: automatic restarts in a row, a run of `reset_after_s` between two of them
            starting a new row; None is no limit.
        backoff_initial_s: before the second restart in a row; the first is immediate, and each
            later one waits twice as long as the one before, up to `backoff_max_s`.
        reset_after_s: a run that lived this long makes the next restart a first one.
        crash_loop_count: equal failures in a row, none of which lived `crash_loop_run_s`.
    """

    mode: str = "on-failure"
    on: frozenset[str] = frozenset({Kind.OOM, Kind.EXIT, Kind.SIGNAL})
    max_restarts: int | None = None
    backoff_initial_s: float = 1.0
    backoff_max_s: float = 60.0
    reset_after_s: float = 600.0
    crash_loop_count: int = 10
    crash_loop_run_s: float = 60.0

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "RestartPolicy":
        """The policy that a row's `restart` says, with the defaults for what it leaves out."""
        values = {_FIELDS[name]: value for name, value in table.items()}
        if "on" in values:
            values["on"] = frozenset(values["on"])
        return cls(**values)

    def brings_back(self, kind: Kind) -> bool:
        """Whether a restart follows an ending of this kind, unless a limit is reached."""
        if self.mode == "never":
            return False
        if kind == Kind.COMPLETED:
            return self.mode == "always"
        return kind in (Kind.PLATFORM, Kind.STALLED) or kind in self.on


@dataclass(frozen=True)
class FailureHistory:
    """What a strategy's row remembers of its past endings.

    Attributes:
        streak: endings since the last run that lived long enough to forget them.
        signature: of the last failure; equal failures have equal ones.
        repeats: how many times that same failure came in a row.
    """

    streak: int
    signature: str | None
    repeats: int


@dataclass(frozen=True)
class Ended:
    """A run that ended by itself, or by its time-out.

    Attributes:
        failure: what tells this failure from others: exit and last line of the traceback.
    """

    kind: Kind
    lived_s: float
    failure: str = ""


class Sequel(StrEnum):
    """What follows an ending."""

    RESTART = "restart"
    END = "end"  # its policy does not bring it back
    CRASH_LOOP = "crash_loop"
    MAX_RESTARTS = "max_restarts"


@dataclass(frozen=True)
class Judgement:
    """What follows; `delay_s` before the restart, 0 when there is none."""

    history: FailureHistory
    sequel: Sequel
    delay_s: float = 0.0


def judge(past: FailureHistory, policy: RestartPolicy, run: Ended) -> Judgement:
    """Decide about the restart after a run that ended.

    A failure of ours is not the program's and neither counts towards a crash loop nor breaks one.
    An exit 0 or a time-out is no failure that repeats itself: it breaks one. All of them count as
    restarts: towards `max_restarts` and for the delay.
    """
    before = 0 if run.lived_s >= policy.reset_after_s else past.streak
    history = replace(_remembered(past, policy, run), streak=before + 1)
    if not policy.brings_back(run.kind):
        return Judgement(history, Sequel.END)
    if history.repeats >= policy.crash_loop_count and _may_loop(run.kind):
        return Judgement(history, Sequel.CRASH_LOOP)
    if policy.max_restarts is not None and before >= policy.max_restarts:
        return Judgement(history, Sequel.MAX_RESTARTS)
    return Judgement(history, Sequel.RESTART, _delay_s(policy, before))


def _may_loop(kind: Kind) -> bool:
    return kind in (Kind.OOM, Kind.EXIT, Kind.SIGNAL, Kind.STALLED)


def _remembered(past: FailureHistory, policy: RestartPolicy, run: Ended) -> FailureHistory:
    if run.kind == Kind.PLATFORM:
        return past
    if not _may_loop(run.kind):
        return FailureHistory(past.streak, None, 0)
    signature = hashlib.sha256(run.failure.encode()).hexdigest()
    is_same = signature == past.signature and run.lived_s < policy.crash_loop_run_s
    return FailureHistory(past.streak, signature, past.repeats + 1 if is_same else 1)


def _delay_s(policy: RestartPolicy, restarts_before: int) -> float:
    if restarts_before == 0:
        return 0.0
    doubled = policy.backoff_initial_s * 2.0 ** min(restarts_before - 1, 30)
    delay = min(policy.backoff_max_s, doubled)
    return delay * random.uniform(1 - _JITTER, 1)  # noqa: S311 - spreads load, guards nothing
