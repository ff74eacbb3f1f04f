"""What the platform says in a strategy's own log."""

import signal
from collections.abc import Iterator

from sandbox import MOST_LOCKS
from tasks.claims import Claim, Verdict
from tasks.ending import Cause, Ending


def greeting(claim: Claim) -> str:
    """The first line of a run."""
    resources = claim.resources
    return (
        f"run {claim.epoch} starts: {claim.entrypoint} of artifact {claim.artifact_sha256[:12]}, "
        f"{resources['cpu_millis']} cpu_millis, {resources['memory_mb']} MB"
    )


def evidence(claim: Claim, ending: Ending) -> Iterator[str]:
    """What was measured and explains the end: file systems that were full, a share of the CPU that
    was used up."""
    for path in ending.full:
        share = "half" if path == "/workspace" else "a quarter"
        yield (
            f"{path} was full at the end, by size or by number of files; it may grow to {share} of "
            f"memory_mb ({claim.resources['memory_mb']}), and what is in it counts as memory"
        )
    if ending.too_many_locks:
        yield (
            f"it held more than {MOST_LOCKS} file locks (fcntl), which take memory of the host that"
            " memory_mb does not count, and was killed; release locks, or lock fewer ranges"
        )
    throttled_s = (ending.usage or {}).get("throttled_s", 0.0)
    if ending.cause == Cause.TIME_OUT and throttled_s > ending.lived_s / 2:
        yield (
            f"its CPU share ({claim.resources['cpu_millis']} cpu_millis) was used up for "
            f"{throttled_s:.1f} s of the {ending.lived_s:.1f} s that it lived"
        )


def farewell(ending: Ending, verdict: Verdict) -> str:
    """The last line of a run: how it ended, and what follows."""
    return f"{_end(ending)}; {_sequel(verdict)}"


def _end(ending: Ending) -> str:
    if ending.exit_code is None:
        is_no_failure = ending.cause in (Cause.STOP, Cause.EVICTION, Cause.FENCE)
        why = f"the run could not start: {ending.explanation}"
        return "the program was not started" if is_no_failure else why
    how = exit_in_words(ending.exit_code)
    if ending.was_oom:
        return f"out of memory: killed at its limit ({how})"
    if ending.cause == Cause.EVICTION:
        return f"its runner shuts down: ended with {how}"
    if ending.cause == Cause.FENCE:
        return "its runner lost the lease and killed it"
    if ending.cause == Cause.STALL:
        return f"stalled: ended with {how}"
    return f"ended with {how}"


def exit_in_words(exit_code: int) -> str:
    """`exit code 1`, or `signal SIGKILL` for 137."""
    if exit_code <= 128:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal.Signals(exit_code - 128).name}"
    except ValueError:
        return f"exit code {exit_code}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 3 else f"{seconds:.1f} s"


def _sequel(verdict: Verdict) -> str:
    reason = verdict.reason.replace("_", " ")
    if verdict.restart_in_s is not None:
        when = "now" if verdict.restart_in_s == 0 else f"in {_seconds(verdict.restart_in_s)}"
        return f"{reason}, restarts {when}"
    if verdict.rollback is not None:
        return f"{reason}; {verdict.rollback}"
    if verdict.announce:
        return f"{reason}, starts again"
    return f"{verdict.status}, {reason}"
