"""What a queued strategy waits for, in words, from the rows of the moment."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.runners import repository as runners
from app.runners.capacity import Size
from app.runners.models import Runner
from app.strategies.inspection import Inspected
from app.strategies.models import Strategy
from app.strategies.states import Reason, Status


def waiting(session: Session, row: Strategy | Inspected) -> dict[str, Any] | None:
    """`{"reason", "since", "detail"}` of a queued strategy, None for another one.

    `reason` is `no_runner`, `no_capacity`, or `announced` when a runner is about to take it;
    `since` is Unix seconds.
    """
    if row.status != Status.QUEUED or row.queued_at is None:
        return None
    live = runners.live(session)
    reason, detail = _why(row, [one for one in live if row.latency_target in one.queues], live)
    return {"reason": reason, "since": int(row.queued_at), "detail": detail}


def _why(
    row: Strategy | Inspected, serving: Sequence[Runner], live: Sequence[Runner]
) -> tuple[str, str]:
    target = row.latency_target
    if not serving:
        others = sorted({queue for runner in live for queue in runner.queues})
        known = f"live runners serve {', '.join(others)}" if others else "there is no live runner"
        return Reason.NO_RUNNER, f"no live runner serves {target!r}; {known}"
    size = Size.of(row.resources)
    if not any(size.fits(runner.limit) for runner in serving):
        largest = max((runner.limit for runner in serving), key=_order)
        return (
            Reason.NO_CAPACITY,
            f"it needs {size}, more than any runner of {target!r} has: the largest has {largest}",
        )
    if not any(size.fits(runner.free) for runner in serving):
        free = max((runner.free for runner in serving), key=_order)
        return (
            Reason.NO_CAPACITY,
            f"it needs {size}; the most that a runner of {target!r} has left is {free}",
        )
    if row.status_reason == Reason.NO_CAPACITY:
        return Reason.NO_CAPACITY, "room for it is kept, or it waits behind one that came earlier"
    return "announced", f"a runner of {target!r} takes it in a moment"


def _order(size: Size) -> tuple[float, float]:
    return size.memory_mb, size.cpu_millis
