"""What is counted where it happens: lines that were dropped, leases that were missed."""

from __future__ import annotations

from app.logs.stream import Block, Channel
from tasks import metrics
from tasks.claims import Verdict
from tasks.ending import Cause, Ending
from tasks.logs.limits import FloodGate, Rate
from tasks.logs.run_log import BUFFER_BYTES, RunLog


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def dropped(why: str) -> float:
    return value("sequence_log_lines_dropped_total", why=why)


def test_lines_over_the_rate() -> None:
    before = dropped("rate")
    gate = FloodGate(Rate(lines_per_s=1, bytes_per_s=0, burst_s=1))
    assert gate.admits(1, 10, 0.0)
    assert not gate.admits(7, 70, 0.0)
    gate.marker()
    assert dropped("rate") - before == 7


def test_lines_for_a_full_buffer_and_late_ones() -> None:
    before = dropped("buffer"), dropped("late")
    log = RunLog("s", "r", lambda _: None)
    large = Block(0, Channel.STDOUT, 1, b"x" * (BUFFER_BYTES // 2) + b"\n")
    for _ in range(4):
        log.add(large)
    log.seal()
    log.add(Block(0, Channel.STDOUT, 5, b"a\n" * 5))
    log.close("the end")
    assert dropped("buffer") - before[0] == 3
    assert dropped("late") - before[1] == 5


def test_ends_restarts_and_fences() -> None:
    def counts() -> tuple[float, float, float]:
        return (
            value("sequence_runs_ended_total", reason="oom"),
            value("sequence_restarts_total", reason="oom"),
            value("sequence_lease_misses_total", kind="lost"),
        )

    before = counts()
    metrics.count_end(Ending(Cause.PROGRAM), Verdict(True, "failed", "oom", restart_in_s=1.0))
    metrics.count_end(Ending(Cause.FENCE), Verdict(True, "failed", "oom"))
    assert [after - b for after, b in zip(counts(), before, strict=True)] == [2, 1, 1]
