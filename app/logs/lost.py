"""The platform's word on the end of a run's log that will never come."""

from app.logs.stream import Batch, Channel, block_of
from app.strategies.models import Run
from app.strategies.states import Reason

_LOST = "the end of this run's log is lost: its runner was gone before it was stored"
_UNKNOWN = f"{_LOST}; how many lines is not known"


def lost_end(run: Run, last: int, ts_ms: int) -> Batch | None:
    """One line in place of those behind line `last`, the last stored one, of a run that is over.

    None when nothing is missing. A runner writes with a run's end how many lines there are; then
    this line has the number of the last of them, and the gap before it tells how many are lost.
    """
    if run.log_lines is not None:
        if last >= run.log_lines:
            return None
        return Batch(run.log_lines, (block_of(ts_ms, Channel.SYSTEM, _LOST),), is_end=True)
    if run.reason == Reason.RUNNER_LOST:
        return Batch(last + 1, (block_of(ts_ms, Channel.SYSTEM, _UNKNOWN),), is_end=True)
    return None
