"""When a failed strategy comes back, and when it does not."""

from __future__ import annotations

import pytest

from tasks.restart import FailureHistory, Judgement, judge

FRESH = FailureHistory(0, None, 0)


def fail(
    past: FailureHistory, failure: str = "boom", *, lived_s: float = 1.0, times: int = 1
) -> Judgement:
    for _ in range(times):
        judgement = judge(past, lived_s=lived_s, failure=failure)
        past = judgement.history
    return judgement


def test_the_first_restart_is_at_once() -> None:
    assert fail(FRESH).delay_s == 0


@pytest.mark.parametrize(
    ("failures", "longest_s"),
    [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 60), (9, 60), (40, 60), (2000, 60)],
)
def test_delays_double_up_to_a_minute(failures: int, longest_s: float) -> None:
    history = FRESH
    for number in range(failures):
        judgement = judge(history, lived_s=1.0, failure=f"always another {number}")
        history = judgement.history
    assert judgement.delay_s is not None
    assert longest_s * 0.8 <= judgement.delay_s <= longest_s
    assert history.streak == failures


def test_a_run_of_ten_minutes_makes_the_next_restart_immediate() -> None:
    tired = FailureHistory(7, "other", 2)
    assert fail(tired, lived_s=599.9).delay_s != 0
    rested = fail(tired, lived_s=600)
    assert rested.delay_s == 0
    assert rested.history.streak == 1


def test_the_same_failure_ten_times_in_a_row_is_a_crash_loop() -> None:
    assert fail(FRESH, times=9).delay_s is not None
    judgement = fail(FRESH, times=10)
    assert judgement.delay_s is None
    assert judgement.history.repeats == 10


def test_another_failure_breaks_the_loop() -> None:
    nine = fail(FRESH, times=9).history
    other = fail(nine, "another")
    assert other.delay_s is not None
    assert other.history.repeats == 1
    assert fail(other.history, "boom").history.repeats == 1


def test_a_run_of_a_minute_breaks_the_loop() -> None:
    nine = fail(FRESH, times=9).history
    assert fail(nine, lived_s=59.9).delay_s is None
    broken = fail(nine, lived_s=60)
    assert broken.delay_s is not None
    assert broken.history.repeats == 1
    assert fail(broken.history, times=9).delay_s is None


def test_a_signature_tells_nothing_of_the_failure() -> None:
    signature = fail(FRESH, "Traceback: my secret plan").history.signature
    assert signature is not None
    assert len(signature) == 64
    assert "plan" not in signature


def test_delays_are_spread() -> None:
    past = FailureHistory(6, None, 0)
    delays = {judge(past, lived_s=1, failure=str(number)).delay_s for number in range(20)}
    assert len(delays) > 10


def test_a_failure_of_ours_is_never_a_crash_loop() -> None:
    history = FailureHistory(0, "the program's own", 9)
    for number in range(30):
        judgement = judge(history, lived_s=0.0, failure=None)
        history = judgement.history
        assert judgement.delay_s is not None
        assert judgement.delay_s <= 60.0
        assert (history.signature, history.repeats) == ("the program's own", 9)
        assert history.streak == number + 1
