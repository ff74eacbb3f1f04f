"""When a failed strategy comes back, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from app.strategies.policy_schemas import RestartSchema
from tasks.restart import Ended, FailureHistory, Judgement, Kind, RestartPolicy, Sequel, judge

FRESH = FailureHistory(0, None, 0)
DEFAULT = RestartPolicy()
FAILURES = [Kind.OOM, Kind.EXIT, Kind.SIGNAL]


def policy(**table: Any) -> RestartPolicy:
    """As an owner writes it, through the schema that the API checks it with."""
    return RestartPolicy.of(RestartSchema().load(table))


def end(
    past: FailureHistory,
    rules: RestartPolicy = DEFAULT,
    kind: Kind = Kind.EXIT,
    failure: str = "boom",
    lived_s: float = 1.0,
) -> Judgement:
    return judge(past, rules, Ended(kind, lived_s, failure))


def fail(
    past: FailureHistory, failure: str = "boom", *, lived_s: float = 1.0, times: int = 1
) -> Judgement:
    for _ in range(times):
        judgement = end(past, failure=failure, lived_s=lived_s)
        past = judgement.history
    return judgement


def chain(rules: RestartPolicy, kind: Kind, times: int) -> list[Judgement]:
    """What follows each of so many endings, no two of them the same failure."""
    past, found = FRESH, []
    for number in range(times):
        found.append(end(past, rules, kind, str(number)))
        past = found[-1].history
    return found


def test_the_first_restart_is_at_once() -> None:
    assert fail(FRESH).delay_s == 0


@pytest.mark.parametrize(
    ("failures", "longest_s"),
    [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 60), (9, 60), (40, 60), (2000, 60)],
)
def test_delays_double_up_to_a_minute(failures: int, longest_s: float) -> None:
    history = FRESH
    for number in range(failures):
        judgement = end(history, failure=f"always another {number}")
        history = judgement.history
    assert judgement.sequel == Sequel.RESTART
    assert longest_s * 0.8 <= judgement.delay_s <= longest_s
    assert history.streak == failures


def test_a_run_of_ten_minutes_makes_the_next_restart_immediate() -> None:
    tired = FailureHistory(7, "other", 2)
    assert fail(tired, lived_s=599.9).delay_s != 0
    rested = fail(tired, lived_s=600)
    assert rested.delay_s == 0
    assert rested.history.streak == 1


def test_the_same_failure_ten_times_in_a_row_is_a_crash_loop() -> None:
    assert fail(FRESH, times=9).sequel == Sequel.RESTART
    judgement = fail(FRESH, times=10)
    assert judgement.sequel == Sequel.CRASH_LOOP
    assert judgement.history.repeats == 10


def test_another_failure_breaks_the_loop() -> None:
    nine = fail(FRESH, times=9).history
    other = fail(nine, "another")
    assert other.sequel == Sequel.RESTART
    assert other.history.repeats == 1
    assert fail(other.history, "boom").history.repeats == 1


def test_a_run_of_a_minute_breaks_the_loop() -> None:
    nine = fail(FRESH, times=9).history
    assert fail(nine, lived_s=59.9).sequel == Sequel.CRASH_LOOP
    broken = fail(nine, lived_s=60)
    assert broken.sequel == Sequel.RESTART
    assert broken.history.repeats == 1
    assert fail(broken.history, times=9).sequel == Sequel.CRASH_LOOP


def test_a_signature_tells_nothing_of_the_failure() -> None:
    signature = fail(FRESH, "Traceback: my secret plan").history.signature
    assert signature is not None
    assert len(signature) == 64
    assert "plan" not in signature


def test_delays_are_spread() -> None:
    past = FailureHistory(6, None, 0)
    delays = {fail(past, str(number)).delay_s for number in range(20)}
    assert len(delays) > 10


def test_a_failure_of_ours_is_never_a_crash_loop() -> None:
    history = FailureHistory(0, "the program's own", 9)
    for number in range(30):
        judgement = end(history, kind=Kind.PLATFORM)
        history = judgement.history
        assert judgement.sequel == Sequel.RESTART
        assert judgement.delay_s <= 60.0
        assert (history.signature, history.repeats) == ("the program's own", 9)
        assert history.streak == number + 1


def test_an_empty_table_has_the_defaults() -> None:
    assert RestartPolicy.of({}) == DEFAULT


def test_every_key_of_the_table_is_heard() -> None:
    assert policy(
        policy="always",
        on=["timeout"],
        max_restarts=3,
        backoff_initial_secs=2,
        backoff_max_secs=20,
        reset_after_secs=30,
        crash_loop_count=4,
        crash_loop_run_secs=5,
    ) == RestartPolicy("always", frozenset({Kind.TIMEOUT}), 3, 2, 20, 30, 4, 5)


@pytest.mark.parametrize(
    ("table", "back"),
    [
        ({}, {*FAILURES, Kind.PLATFORM, Kind.STALLED}),
        ({"policy": "always"}, {*FAILURES, Kind.PLATFORM, Kind.STALLED, Kind.COMPLETED}),
        ({"policy": "never"}, set()),
        ({"policy": "never", "on": ["oom", "timeout"]}, set()),
        ({"on": ["oom", "timeout"]}, {Kind.OOM, Kind.TIMEOUT, Kind.PLATFORM, Kind.STALLED}),
        ({"on": []}, {Kind.PLATFORM, Kind.STALLED}),
        (
            {"policy": "always", "on": ["exit"]},
            {Kind.EXIT, Kind.PLATFORM, Kind.STALLED, Kind.COMPLETED},
        ),
    ],
)
def test_who_comes_back(table: dict[str, Any], back: set[Kind]) -> None:
    rules = policy(**table)
    for kind in Kind:
        expected = Sequel.RESTART if kind in back else Sequel.END
        assert end(FRESH, rules, kind).sequel == expected, kind


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_no_more_restarts_in_a_row_than_allowed(kind: Kind, allowed: int) -> None:
    found = chain(policy(max_restarts=allowed), kind, allowed + 1)
    assert [one.sequel for one in found] == [Sequel.RESTART] * allowed + [Sequel.MAX_RESTARTS]


def test_a_long_run_begins_a_new_row_of_restarts() -> None:
    rules = policy(max_restarts=1, reset_after_secs=30)
    once = end(FRESH, rules)
    assert end(once.history, rules, lived_s=29.9).sequel == Sequel.MAX_RESTARTS
    rested = end(once.history, rules, lived_s=30)
    assert (rested.sequel, rested.delay_s) == (Sequel.RESTART, 0)


def test_a_crash_loop_is_the_clearer_reason_of_the_two() -> None:
    rules = policy(max_restarts=1, crash_loop_count=2)
    assert end(end(FRESH, rules).history, rules).sequel == Sequel.CRASH_LOOP


def test_the_delays_are_the_owners() -> None:
    rules = policy(backoff_initial_secs=3, backoff_max_secs=10)
    delays = [one.delay_s for one in chain(rules, Kind.EXIT, 5)]
    assert delays[0] == 0
    for delay_s, longest_s in zip(delays[1:], (3, 6, 10, 10), strict=True):
        assert longest_s * 0.8 <= delay_s <= longest_s


def test_the_crash_loop_is_the_owners() -> None:
    rules = policy(crash_loop_count=3, crash_loop_run_secs=5)
    two = end(end(FRESH, rules).history, rules)
    assert two.sequel == Sequel.RESTART
    assert end(two.history, rules, lived_s=5).sequel == Sequel.RESTART
    assert end(two.history, rules, lived_s=4.9).sequel == Sequel.CRASH_LOOP


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.TIMEOUT])
def test_what_is_no_failure_waits_longer_each_time_but_never_loops(kind: Kind) -> None:
    rules = policy(policy="always", on=["timeout", "exit"])
    past = FRESH
    for number in range(30):
        judgement = end(past, rules, kind, "the same")
        past = judgement.history
        assert judgement.sequel == Sequel.RESTART
        assert (past.streak, past.repeats) == (number + 1, 0)
    assert judgement.delay_s >= 48


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.TIMEOUT])
def test_what_is_no_failure_breaks_a_crash_loop(kind: Kind) -> None:
    rules = policy(policy="always", on=["timeout", "exit"], crash_loop_count=2)
    between = end(end(FRESH, rules).history, rules, kind)
    assert end(between.history, rules).sequel == Sequel.RESTART


def test_a_failure_of_ours_counts_as_a_restart() -> None:
    found = chain(policy(max_restarts=1), Kind.PLATFORM, 2)
    assert [one.sequel for one in found] == [Sequel.RESTART, Sequel.MAX_RESTARTS]
