"""How much a strategy may log, and that what is over is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.logs.stream import Batch, Block, Channel
from tasks.logs.bounds import Bounds, StreamSize
from tasks.logs.capture import Capture
from tasks.logs.limits import UNLIMITED, FloodGate, Rate
from tasks.logs.redaction import Redactor
from tasks.logs.run_log import RunLog

RATE = Rate(lines_per_s=100, bytes_per_s=10_000, burst_s=2)


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    gate = FloodGate(RATE)
    assert [gate.admits(100, 100, 10.0) for _ in range(3)] == [True, True, False]
    assert gate.marker_due_at == 11.0
    assert not gate.admits(7, 70, 10.9)
    assert gate.marker() == (
        "107 lines (170 bytes) were dropped here: 100 lines or 10000 bytes a second may be logged"
    )
    assert gate.admits(1, 1, 11.0)


def test_bytes_are_limited_as_well() -> None:
    gate = FloodGate(Rate(0, 1000, 1))
    assert gate.admits(1, 5000, 0.0)
    assert not gate.admits(1, 1, 1.0)
    assert gate.marker().endswith("1000 bytes a second may be logged")
    assert not gate.admits(1, 1, 3.9)
    gate.marker()
    assert gate.admits(1, 1, 5.0)


def test_without_a_rate_there_is_no_limit() -> None:
    gate = FloodGate(UNLIMITED)
    assert all(gate.admits(10**9, 10**12, 0.0) for _ in range(10))


@given(st.lists(st.tuples(st.integers(1, 80), st.floats(0, 0.5)), max_size=60))
def test_every_line_is_let_through_or_counted(writes: list[tuple[int, float]]) -> None:
    gate, now, passed, counted, markers = FloodGate(RATE), 0.0, 0, 0, 0
    for lines, pause_s in writes:
        now += pause_s
        if now >= gate.marker_due_at:
            counted += int(gate.marker().split()[0])
            markers += 1
        passed += lines if gate.admits(lines, lines, now) else 0
    counted += int(gate.marker().split()[0])
    assert passed + counted == sum(lines for lines, _ in writes)
    assert passed <= RATE.lines_per_s * (now + RATE.burst_s) + 80
    assert markers <= now + 1


def log_of(rate: Rate) -> tuple[Capture, RunLog]:
    run_log = RunLog("strategy", "run", lambda _: None)
    return Capture(run_log, Redactor({"TOKEN": "hunter2"}), rate), run_log


def texts(run_log: RunLog) -> list[tuple[str, str]]:
    batch = run_log.take()
    return [(line.channel, line.text) for line in batch.lines] if batch else []


def test_a_marker_stands_where_lines_are_missing() -> None:
    capture, run_log = log_of(Rate(10, 0, 1))
    capture.feed(Channel.STDOUT, b"a\n" * 11)
    capture.feed(Channel.STDOUT, b"b\n" * 5)
    capture.feed(Channel.STDERR, b"c\n")
    capture.tick(capture.marker_due_at)
    capture.feed(Channel.STDOUT, b"d")
    capture.close()
    said = texts(run_log)
    assert said[:11] == [("stdout", "a")] * 11
    assert said[11][1].startswith("6 lines (12 bytes) were dropped here")
    assert len([text for channel, text in said if channel == "system"]) <= 2


def test_what_ends_without_an_end_of_line_is_not_lost() -> None:
    capture, run_log = log_of(UNLIMITED)
    heard: list[bool] = []
    capture.on_output = lambda: heard.append(True)
    capture.feed(Channel.STDERR, b"Traceback\nError: hunter2 is wrong\n\n ")
    capture.feed(Channel.STDOUT, b"half")
    capture.feed(Channel.STDOUT, b"")
    run_log.write(Channel.SYSTEM, "refused: hunter2.example.com")
    assert capture.last_error_line == "Error: [secret TOKEN] is wrong"
    capture.feed(Channel.STDOUT, b"")
    capture.close()
    assert texts(run_log) == [
        ("stderr", "Traceback"),
        ("stderr", "Error: [secret TOKEN] is wrong"),
        ("stderr", ""),
        ("stdout", "half"),
        ("system", "refused: [secret TOKEN].example.com"),
        ("stderr", " "),
    ]
    assert len(heard) == 2


def batch(first: int, lines: int, size: int) -> Batch:
    return Batch(first, (Block(10**12, "stdout", lines, b"x" * size),))


def test_a_stream_is_bounded_by_lines_and_by_bytes() -> None:
    size = StreamSize(Bounds(max_lines=100, max_bytes=1000))
    for first in range(1, 101, 10):
        size.add(batch(first, 10, 50))
        assert size.oldest_kept(first + 9) == 0
    size.add(batch(101, 10, 50))
    assert size.oldest_kept(110) == 10
    size.add(batch(111, 10, 900))
    # 900 and the twenty lines before them; what came before is over.
    assert size.oldest_kept(120) == 91


def test_the_archive_is_told_after_each_quarter() -> None:
    size = StreamSize(Bounds(max_lines=100, max_bytes=1000))
    told = []
    for first in range(1, 101, 10):
        size.add(batch(first, 10, 10))
        size.add(batch(first, 10, 10))
        told.append(size.archive_is_due())
    assert told == [False, False, True] * 3 + [False]
