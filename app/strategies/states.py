"""The states of a strategy and every transition there is.

`status` says what is; `desired_state` says what its owner wants; the why is in `status_reason`.
`python -m app.strategies.states` prints `TRANSITIONS` as the diagram in `docs/architecture.md`.
"""

import sys
from enum import StrEnum


class Status(StrEnum):
    """What clients know as `status`; there are no others."""

    QUEUED = "queued"  # wants to run; any runner of its queue may claim it
    RUNNING = "running"  # one runner holds the lease of its epoch
    STOPPED = "stopped"  # ended as it should, or never started; `always` or a tick may start it
    FAILED = "failed"  # ended as it should not; comes back if `next_restart_at` is set


class DesiredState(StrEnum):
    """What the owner asked for last."""

    RUNNING = "running"
    STOPPED = "stopped"


class Event(StrEnum):
    """What can happen to a strategy."""

    START = "start"  # the owner asks for it; of a running one only while it is being stopped
    CLAIM = "claim"  # a runner takes the lease
    COMPLETE = "complete"  # exit 0
    FAIL = "fail"  # non-zero exit, signal, out of memory; may come back
    ABORT = "abort"  # we could not start it, and trying again cannot help
    RESTART_DUE = "restart_due"  # the delay after a run that is to come back is over
    FINISH_STOP = "finish_stop"  # gone after the owner asked it to stop
    FINISH_RESTART = "finish_restart"  # gone after the owner asked for stop and start
    TIME_OUT = "time_out"  # ran as long as its owner allowed
    CRASH_LOOP = "crash_loop"  # the same failure again and again
    EVICT = "evict"  # its runner shuts down
    LOSE_RUNNER = "lose_runner"  # its lease expired
    STOP = "stop"  # the owner asks for it; a running one stays running until it is gone
    SKIP_TICK = "skip_tick"  # its schedule wants a start, and it still runs
    REPLACE = "replace"  # the same, and its owner wants the new run instead of the old one


class Reason(StrEnum):
    """The values of `status_reason`; one word for the why of a status."""

    CREATED = "created"
    REQUESTED = "requested"
    NO_RUNNER = "no_runner"
    NO_CAPACITY = "no_capacity"
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED_BY_USER = "stopped_by_user"
    EXIT_NONZERO = "exit_nonzero"
    SIGNAL = "signal"
    OOM = "oom"
    WORKSPACE_FULL = "workspace_full"
    FILE_LOCKS = "file_locks"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CRASH_LOOP = "crash_loop"
    MAX_RESTARTS = "max_restarts"
    RESTARTING = "restarting"
    RESTARTED_BY_USER = "restarted_by_user"
    EVICTED = "evicted"
    RUNNER_LOST = "runner_lost"
    SANDBOX_ERROR = "sandbox_error"
    SECRETS_UNREADABLE = "secrets_unreadable"
    ARTIFACT_CORRUPT = "artifact_corrupt"
    NETWORK_REFUSED = "network_refused"
    SCHEDULED = "scheduled"
    TICK_SKIPPED = "tick_skipped"
    REPLACED = "replaced"


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.STOPPED, Event.START): Status.QUEUED,
    (Status.FAILED, Event.START): Status.QUEUED,
    (Status.QUEUED, Event.CLAIM): Status.RUNNING,
    (Status.RUNNING, Event.COMPLETE): Status.STOPPED,
    (Status.RUNNING, Event.FAIL): Status.FAILED,
    (Status.RUNNING, Event.ABORT): Status.FAILED,
    (Status.FAILED, Event.RESTART_DUE): Status.QUEUED,
    (Status.STOPPED, Event.RESTART_DUE): Status.QUEUED,
    (Status.RUNNING, Event.FINISH_STOP): Status.STOPPED,
    (Status.RUNNING, Event.FINISH_RESTART): Status.QUEUED,
    (Status.RUNNING, Event.TIME_OUT): Status.FAILED,
    (Status.RUNNING, Event.CRASH_LOOP): Status.FAILED,
    (Status.RUNNING, Event.EVICT): Status.QUEUED,
    (Status.RUNNING, Event.LOSE_RUNNER): Status.QUEUED,
    (Status.QUEUED, Event.STOP): Status.STOPPED,
    (Status.FAILED, Event.STOP): Status.STOPPED,
    (Status.STOPPED, Event.STOP): Status.STOPPED,
    (Status.RUNNING, Event.STOP): Status.RUNNING,
    (Status.RUNNING, Event.START): Status.RUNNING,
    (Status.RUNNING, Event.SKIP_TICK): Status.RUNNING,
    (Status.RUNNING, Event.REPLACE): Status.RUNNING,
}


class IllegalTransitionError(Exception):
    """An event that the present status does not allow: a fault of ours, not of a caller."""

    def __init__(self, status: Status, event: Event) -> None:
        super().__init__(f"a {status} strategy cannot {event}")
        self.status = status
        self.event = event


def next_status(status: Status, event: Event) -> Status:
    """Where `event` leads from `status`.

    Raises:
        IllegalTransitionError: when the table has no such pair.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransitionError(status, event) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    arrows = [f"    {start} --> {end}: {event}" for (start, event), end in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> stopped", "    [*] --> queued", *arrows])


if __name__ == "__main__":
    sys.stdout.write(diagram() + "\n")
