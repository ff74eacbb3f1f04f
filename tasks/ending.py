"""How a run ended, from evidence, and what that means for its strategy."""

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.database import database_now
from app.strategies.hooks import left_behind
from app.strategies.lifecycle import FRESH_START, Change
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Event, Reason
from tasks.restart import Ended, FailureHistory, Judgement, Kind, RestartPolicy, Sequel, judge

_SIGNALS = frozenset(signal.Signals)


class Cause(StrEnum):
    """Who or what ended the run; the program itself unless we did."""

    PROGRAM = "program"
    STOP = "stop"  # its owner asked
    TIME_OUT = "time_out"  # it ran as long as its owner allowed
    STALL = "stall"  # it said nothing for as long as its owner allows
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
        was_oom: it was killed for its memory: by the kernel, as its control group counts, or by us.
        full: its file systems without a free block or file at the end: /workspace, /tmp, /dev/shm.
        too_many_locks: it was killed for the file locks that it held.
        lived_s: seconds from spawn to exit.
        stalled_s: how many of them were silence that the watchdog ended.
        last_error_line: the last line on stderr, which ends a traceback.
        usage: resources used, for the run's row.
        hook_due: the reason whose hook has still to be run, before the next start.
        log_lines: how many lines its log has, the last one that is still to come included.
    """

    cause: Cause
    exit_code: int | None = None
    was_oom: bool = False
    full: tuple[str, ...] = ()
    too_many_locks: bool = False
    lived_s: float = 0.0
    stalled_s: float = 0.0
    last_error_line: str = ""
    explanation: str = ""
    usage: dict[str, Any] | None = None
    isolation: dict[str, Any] | None = None
    hook_due: Reason | None = None
    log_lines: int | None = None

    @property
    def own_reason(self) -> Reason:
        """Why this run ended, whatever its row says of the strategy: what its hooks are told."""
        if self.cause in _DIRECT:
            return _DIRECT[self.cause][1]
        if self.cause == Cause.STOP:
            return Reason.STOPPED_BY_USER
        return self.judged_by_itself[1]

    @property
    def kind(self) -> Kind:
        """What a restart depends on: the program's own end, its time-out, or we who failed."""
        if self.cause != Cause.PROGRAM:
            ours = {Cause.TIME_OUT: Kind.TIMEOUT, Cause.STALL: Kind.STALLED}
            return ours.get(self.cause, Kind.PLATFORM)
        if self.was_oom:
            return Kind.OOM
        if self.exit_code == 0:
            return Kind.COMPLETED
        is_signal = self.exit_code is not None and self.exit_code - 128 in _SIGNALS
        return Kind.SIGNAL if is_signal else Kind.EXIT

    @property
    def judged_by_itself(self) -> tuple[Event, Reason]:
        """Event and reason of a run that nobody asked to end, unless its policy gives it up."""
        event, reason = _OWN[self.kind]
        if self.kind == Kind.SIGNAL and self.too_many_locks:
            return event, Reason.FILE_LOCKS
        return event, Reason.WORKSPACE_FULL if self.is_full else reason

    @property
    def evidence(self) -> dict[str, Any]:
        """What is known of the end, for the run's row; text without what a database refuses."""
        return {
            "cause": self.cause,
            "kind": self.kind,
            "was_oom": self.was_oom,
            "lived_s": round(self.lived_s, 3),
            "last_error_line": _storable(self.last_error_line),
            "explanation": _storable(self.explanation),
            "full": list(self.full),
            "too_many_locks": self.too_many_locks,
        }

    @property
    def is_full(self) -> bool:
        """Whether it failed with no room left in its workspace."""
        return self.kind in (Kind.EXIT, Kind.SIGNAL) and "/workspace" in self.full


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


_DIRECT: dict[Cause, tuple[Event, Reason]] = {
    Cause.EVICTION: (Event.EVICT, Reason.EVICTED),
    Cause.FENCE: (Event.LOSE_RUNNER, Reason.RUNNER_LOST),
    Cause.SECRETS: (Event.ABORT, Reason.SECRETS_UNREADABLE),
    Cause.NETWORK: (Event.ABORT, Reason.NETWORK_REFUSED),
    Cause.ARTIFACT: (Event.ABORT, Reason.ARTIFACT_CORRUPT),
}
_OWN: dict[Kind, tuple[Event, Reason]] = {
    Kind.COMPLETED: (Event.COMPLETE, Reason.COMPLETED),
    Kind.TIMEOUT: (Event.TIME_OUT, Reason.TIMEOUT),
    Kind.OOM: (Event.FAIL, Reason.OOM),
    Kind.SIGNAL: (Event.FAIL, Reason.SIGNAL),
    Kind.EXIT: (Event.FAIL, Reason.EXIT_NONZERO),
    Kind.STALLED: (Event.FAIL, Reason.STALLED),
    Kind.PLATFORM: (Event.FAIL, Reason.SANDBOX_ERROR),
}
_GIVEN_UP: dict[Sequel, tuple[Event, Reason]] = {
    Sequel.CRASH_LOOP: (Event.CRASH_LOOP, Reason.CRASH_LOOP),
    Sequel.MAX_RESTARTS: (Event.FAIL, Reason.MAX_RESTARTS),
}
_FINAL = {"desired_state": DesiredState.STOPPED}


def consequence(row: Strategy, ending: Ending, actor: str) -> Change:
    """The transition that an ending leads to; a stop that was asked for always wins."""
    values: dict[str, Any] = {}
    if ending.cause not in (Cause.EVICTION, Cause.FENCE) or ending.exit_code is not None:
        values["exit_code"] = ending.exit_code
    if ending.cause == Cause.FENCE and (due := left_behind(row)):
        # Even when a stop was asked for: first another runner has to run the hook.
        return Change(Event.LOSE_RUNNER, Reason.RUNNER_LOST, actor, values | due)
    if row.stop_requested_at is not None:
        if row.desired_state == DesiredState.STOPPED:
            return Change(Event.FINISH_STOP, Reason.STOPPED_BY_USER, actor, values)
        is_replaced = row.status_reason == Reason.REPLACED
        reason = Reason.REPLACED if is_replaced else Reason.RESTARTED_BY_USER
        return Change(Event.FINISH_RESTART, reason, actor, FRESH_START | values)
    if ending.cause in _DIRECT:
        event, reason = _DIRECT[ending.cause]
        return Change(event, reason, actor, values | (_FINAL if event == Event.ABORT else {}))
    return _by_policy(row, ending, actor, values)


def _by_policy(row: Strategy, ending: Ending, actor: str, values: dict[str, Any]) -> Change:
    """It ended by itself or by its time-out: whether it comes back is its owner's policy."""
    kind = ending.kind
    event, reason = ending.judged_by_itself
    judgement = _judge(row, ending, f"{reason}:{ending.exit_code}:{ending.last_error_line}")
    history = judgement.history
    values |= {
        "failure_streak": history.streak,
        "crash_signature": history.signature,
        "crash_count": history.repeats,
    }
    if judgement.sequel == Sequel.RESTART:
        values["next_restart_at"] = database_now() + judgement.delay_s
        return Change(event, reason, actor, values)
    if kind != Kind.COMPLETED:
        event, reason = _GIVEN_UP.get(judgement.sequel, (event, reason))
    return Change(event, reason, actor, values | _FINAL)


def _judge(row: Strategy, ending: Ending, failure: str) -> Judgement:
    past = FailureHistory(row.failure_streak, row.crash_signature, row.crash_count)
    run = Ended(ending.kind, ending.lived_s - ending.stalled_s, failure)
    return judge(past, RestartPolicy.of(row.restart), run)
