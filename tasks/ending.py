"""How a run ended, from evidence, and what that means for its strategy."""

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.database import database_now
from app.strategies.lifecycle import FRESH_START, Change
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Event, Reason
from tasks.restart import FailureHistory, judge

_SIGNALS = frozenset(signal.Signals)


class Cause(StrEnum):
    """Who or what ended the run; the program itself unless we did."""

    PROGRAM = "program"
    STOP = "stop"  # its owner asked
    TIME_OUT = "time_out"  # it ran as long as its owner allowed
    EVICTION = "eviction"  # this runner shuts down
    FENCE = "fence"  # the lease could not be kept
    SANDBOX = "sandbox"  # we could not run it; another attempt may
    SECRETS = "secrets"  # we could not open its secrets; trying again cannot help
    NETWORK = "network"  # its policy is not valid, or this runner cannot give it
    ARTIFACT = "artifact"  # what is stored is not what was uploaded


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        exit_code: of the program, 128 + signal if one killed it; None if it never ran.
        was_oom: the kernel killed it for its memory, by the control group's own count.
        full: its file systems without a free block or file at the end: /workspace, /tmp, /dev/shm.
        lived_s: seconds from spawn to exit.
        last_error_line: the last line on stderr, which ends a traceback.
        usage: resources used, for the run's row.
    """

    cause: Cause
    exit_code: int | None = None
    was_oom: bool = False
    full: tuple[str, ...] = ()
    lived_s: float = 0.0
    last_error_line: str = ""
    explanation: str = ""
    usage: dict[str, Any] | None = None
    isolation: dict[str, Any] | None = None

    @property
    def failure_reason(self) -> Reason:
        """Which kind of failure a program's own end was."""
        if self.was_oom:
            return Reason.OOM
        if "/workspace" in self.full:
            return Reason.WORKSPACE_FULL
        if self.exit_code is not None and self.exit_code - 128 in _SIGNALS:
            return Reason.SIGNAL
        return Reason.EXIT_NONZERO


_DIRECT: dict[Cause, tuple[Event, Reason]] = {
    Cause.EVICTION: (Event.EVICT, Reason.EVICTED),
    Cause.FENCE: (Event.LOSE_RUNNER, Reason.RUNNER_LOST),
    Cause.TIME_OUT: (Event.TIME_OUT, Reason.TIMEOUT),
    Cause.SECRETS: (Event.ABORT, Reason.SECRETS_UNREADABLE),
    Cause.NETWORK: (Event.ABORT, Reason.NETWORK_REFUSED),
    Cause.ARTIFACT: (Event.ABORT, Reason.ARTIFACT_CORRUPT),
}
_FINAL = {"desired_state": DesiredState.STOPPED}


def consequence(row: Strategy, ending: Ending, actor: str) -> Change:
    """The transition that an ending leads to; a stop that was asked for always wins."""
    values: dict[str, Any] = {}
    if ending.cause not in (Cause.EVICTION, Cause.FENCE) or ending.exit_code is not None:
        values["exit_code"] = ending.exit_code
    if row.stop_requested_at is not None:
        if row.desired_state == DesiredState.STOPPED:
            return Change(Event.FINISH_STOP, Reason.STOPPED_BY_USER, actor, values)
        return Change(Event.FINISH_RESTART, Reason.RESTARTED_BY_USER, actor, FRESH_START | values)
    if ending.cause in _DIRECT:
        event, reason = _DIRECT[ending.cause]
        if event in (Event.TIME_OUT, Event.ABORT):
            values |= _FINAL
        return Change(event, reason, actor, values)
    if ending.cause == Cause.PROGRAM and ending.exit_code == 0 and not ending.was_oom:
        return Change(Event.COMPLETE, Reason.COMPLETED, actor, values | _FINAL)
    return _failure(row, ending, actor, values)


def _failure(row: Strategy, ending: Ending, actor: str, values: dict[str, Any]) -> Change:
    is_ours = ending.cause == Cause.SANDBOX
    reason = Reason.SANDBOX_ERROR if is_ours else ending.failure_reason
    past = FailureHistory(row.failure_streak, row.crash_signature, row.crash_count)
    failure = f"{reason}:{ending.exit_code}:{ending.last_error_line}"
    judgement = judge(past, lived_s=ending.lived_s, failure=None if is_ours else failure)
    history = judgement.history
    values |= {
        "failure_streak": history.streak,
        "crash_signature": history.signature,
        "crash_count": history.repeats,
    }
    if judgement.delay_s is None:
        return Change(Event.CRASH_LOOP, Reason.CRASH_LOOP, actor, values | _FINAL)
    values["next_restart_at"] = database_now() + judgement.delay_s
    return Change(Event.FAIL, reason, actor, values)
