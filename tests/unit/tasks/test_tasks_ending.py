"""How a run ended decides what becomes of its strategy; a stop that was asked for always wins."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from app.strategies.hooks import hook_of
from app.strategies.models import Strategy
from app.strategies.states import DesiredState, Event, Reason, Status, next_status
from tasks.ending import Cause, Ending, consequence

ACTOR = "runner:1"


def row(**values: Any) -> Strategy:
    defaults: dict[str, Any] = {
        "status": Status.RUNNING,
        "desired_state": DesiredState.RUNNING,
        "stop_requested_at": None,
        "failure_streak": 0,
        "crash_signature": None,
        "crash_count": 0,
        "restart_count": 3,
        "hooks": {},
        "status_reason": Reason.STARTED,
        "restart": {},
    }
    return Strategy(**(defaults | values))


def outcome(ending: Ending, **values: Any) -> tuple[Event, Reason]:
    change = consequence(row(**values), ending, ACTOR)
    assert change.actor == ACTOR
    return change.event, change.reason


PROGRAM = Cause.PROGRAM
ENDINGS = [
    (Ending(PROGRAM, 0), (Event.COMPLETE, Reason.COMPLETED)),
    (Ending(PROGRAM, 1), (Event.FAIL, Reason.EXIT_NONZERO)),
    (Ending(PROGRAM, 128), (Event.FAIL, Reason.EXIT_NONZERO)),
    (Ending(PROGRAM, 255), (Event.FAIL, Reason.EXIT_NONZERO)),  # sys.exit(-1)
    (Ending(PROGRAM, 139), (Event.FAIL, Reason.SIGNAL)),
    (Ending(PROGRAM, 137), (Event.FAIL, Reason.SIGNAL)),
    (Ending(PROGRAM, 137, was_oom=True), (Event.FAIL, Reason.OOM)),
    (Ending(PROGRAM, 0, was_oom=True), (Event.FAIL, Reason.OOM)),
    (Ending(PROGRAM, 137, too_many_locks=True), (Event.FAIL, Reason.FILE_LOCKS)),
    (Ending(PROGRAM, 137, too_many_locks=True, was_oom=True), (Event.FAIL, Reason.OOM)),
    (Ending(PROGRAM, 1, full=("/workspace",)), (Event.FAIL, Reason.WORKSPACE_FULL)),
    (Ending(PROGRAM, 135, full=("/workspace",)), (Event.FAIL, Reason.WORKSPACE_FULL)),
    (Ending(PROGRAM, 1, full=("/tmp",)), (Event.FAIL, Reason.EXIT_NONZERO)),
    (Ending(PROGRAM, 0, full=("/workspace",)), (Event.COMPLETE, Reason.COMPLETED)),
    (Ending(PROGRAM, 137, was_oom=True, full=("/workspace",)), (Event.FAIL, Reason.OOM)),
    (Ending(Cause.TIME_OUT, 1, full=("/workspace",)), (Event.TIME_OUT, Reason.TIMEOUT)),
    (Ending(Cause.TIME_OUT, 0), (Event.TIME_OUT, Reason.TIMEOUT)),
    (Ending(Cause.TIME_OUT, 143), (Event.TIME_OUT, Reason.TIMEOUT)),
    (Ending(Cause.STALL, 0), (Event.FAIL, Reason.STALLED)),
    (Ending(Cause.STALL, 137), (Event.FAIL, Reason.STALLED)),
    (Ending(Cause.EVICTION, 0), (Event.EVICT, Reason.EVICTED)),
    (Ending(Cause.EVICTION, 1), (Event.EVICT, Reason.EVICTED)),
    (Ending(Cause.FENCE, 137), (Event.LOSE_RUNNER, Reason.RUNNER_LOST)),
    (Ending(Cause.SANDBOX), (Event.FAIL, Reason.SANDBOX_ERROR)),
    (Ending(Cause.SECRETS), (Event.ABORT, Reason.SECRETS_UNREADABLE)),
    (Ending(Cause.ARTIFACT), (Event.ABORT, Reason.ARTIFACT_CORRUPT)),
]


@pytest.mark.parametrize(("ending", "expected"), ENDINGS)
def test_each_ending_leads_to_its_transition(
    ending: Ending, expected: tuple[Event, Reason]
) -> None:
    assert outcome(ending) == expected


@pytest.mark.parametrize("ending", [ending for ending, _ in ENDINGS])
def test_a_stop_always_wins(ending: Ending) -> None:
    asked = {"desired_state": DesiredState.STOPPED, "stop_requested_at": 1.0}
    assert outcome(ending, **asked) == (Event.FINISH_STOP, Reason.STOPPED_BY_USER)


@pytest.mark.parametrize("ending", [ending for ending, _ in ENDINGS])
def test_a_stop_and_a_start_make_it_wait_again(ending: Ending) -> None:
    change = consequence(row(stop_requested_at=1.0, crash_count=9), ending, ACTOR)
    assert (change.event, change.reason) == (Event.FINISH_RESTART, Reason.RESTARTED_BY_USER)
    # A start by hand forgets the past of a crash loop, whenever it was asked for.
    assert change.values["crash_count"] == 0
    assert change.values["failure_streak"] == 0
    assert change.values["restart_count"] == 0


@pytest.mark.parametrize(
    ("ending", "asked"),
    list(itertools.product([ending for ending, _ in ENDINGS], [None, 1.0])),
)
def test_every_consequence_is_a_transition_of_the_table(
    ending: Ending, asked: float | None
) -> None:
    for desired in DesiredState:
        event, _ = outcome(ending, desired_state=desired, stop_requested_at=asked)
        assert next_status(Status.RUNNING, event)


@pytest.mark.parametrize(
    "ending",
    [
        Ending(PROGRAM, 0),
        Ending(Cause.TIME_OUT, 143),
        Ending(Cause.SECRETS),
        Ending(Cause.ARTIFACT),
    ],
)
def test_what_is_final_does_not_come_back(ending: Ending) -> None:
    change = consequence(row(), ending, ACTOR)
    assert change.values["desired_state"] == DesiredState.STOPPED
    assert "next_restart_at" not in change.values


@pytest.mark.parametrize("ending", [Ending(Cause.EVICTION, 1), Ending(Cause.FENCE, 137)])
def test_what_is_our_doing_costs_nothing(ending: Ending) -> None:
    values = consequence(row(failure_streak=4), ending, ACTOR).values
    assert set(values) <= {"exit_code"}


def test_a_failure_is_remembered_and_comes_back() -> None:
    values = consequence(row(), Ending(PROGRAM, 2, last_error_line="ValueError: x"), ACTOR).values
    assert values["exit_code"] == 2
    assert values["failure_streak"] == 1
    assert values["crash_count"] == 1
    assert values["next_restart_at"] is not None
    assert "desired_state" not in values


def test_a_completed_run_of_a_strategy_that_always_runs_comes_back() -> None:
    change = consequence(row(restart={"policy": "always"}), Ending(PROGRAM, 0), ACTOR)
    assert (change.event, change.reason) == (Event.COMPLETE, Reason.COMPLETED)
    assert change.values["next_restart_at"] is not None
    assert "desired_state" not in change.values


def test_a_time_out_that_its_owner_names_comes_back() -> None:
    change = consequence(row(restart={"on": ["timeout"]}), Ending(Cause.TIME_OUT, 143), ACTOR)
    assert (change.event, change.reason) == (Event.TIME_OUT, Reason.TIMEOUT)
    assert change.values["next_restart_at"] is not None
    assert "desired_state" not in change.values


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"policy": "never"}, (Event.FAIL, Reason.EXIT_NONZERO)),
        ({"on": ["oom"]}, (Event.FAIL, Reason.EXIT_NONZERO)),
        ({"max_restarts": 0}, (Event.FAIL, Reason.MAX_RESTARTS)),
    ],
)
def test_one_that_does_not_come_back_says_why(
    table: dict[str, Any], expected: tuple[Event, Reason]
) -> None:
    change = consequence(row(restart=table), Ending(PROGRAM, 3), ACTOR)
    assert (change.event, change.reason) == expected
    assert change.values["desired_state"] == DesiredState.STOPPED
    assert "next_restart_at" not in change.values


def test_a_move_to_another_runner_is_no_restart() -> None:
    """What the platform does to a strategy is not what `never` is about."""
    never = row(restart={"policy": "never", "max_restarts": 0})
    for cause, event in ((Cause.EVICTION, Event.EVICT), (Cause.FENCE, Event.LOSE_RUNNER)):
        assert consequence(never, Ending(cause, 137), ACTOR).event == event


def test_the_tenth_equal_failure_is_a_crash_loop() -> None:
    strategy = row()
    for number in range(1, 11):
        ending = Ending(PROGRAM, 1, lived_s=1.0, last_error_line="KeyError: 'price'")
        change = consequence(strategy, ending, ACTOR)
        for name in ("failure_streak", "crash_signature", "crash_count"):
            setattr(strategy, name, change.values[name])
        assert (change.event == Event.CRASH_LOOP) == (number == 10)
    assert change.reason == Reason.CRASH_LOOP
    assert change.values["desired_state"] == DesiredState.STOPPED


@pytest.mark.parametrize(
    "other",
    [
        Ending(PROGRAM, 2, last_error_line="KeyError"),
        Ending(PROGRAM, 1, last_error_line="ValueError"),
        Ending(PROGRAM, 1, was_oom=True, last_error_line="KeyError"),
    ],
)
def test_another_exit_line_or_reason_is_another_failure(other: Ending) -> None:
    first = consequence(row(), Ending(PROGRAM, 1, last_error_line="KeyError"), ACTOR).values
    second = consequence(row(), other, ACTOR).values
    assert first["crash_signature"] != second["crash_signature"]


def test_an_exit_code_is_kept_only_when_there_was_one() -> None:
    assert consequence(row(), Ending(Cause.EVICTION, 143), ACTOR).values == {"exit_code": 143}
    assert consequence(row(), Ending(Cause.FENCE), ACTOR).values == {}
    assert consequence(row(), Ending(Cause.SECRETS), ACTOR).values["exit_code"] is None


BOTH = {"on_stop": "stop.py", "on_crash": "crash.py"}
HOOKS = [
    (Ending(PROGRAM, 0), "completed", "on_stop"),
    (Ending(Cause.STOP, 143), "stopped_by_user", "on_stop"),
    (Ending(Cause.EVICTION, 0), "evicted", "on_stop"),
    (Ending(PROGRAM, 1), "exit_nonzero", "on_crash"),
    (Ending(PROGRAM, 137), "signal", "on_crash"),
    (Ending(PROGRAM, 0, was_oom=True), "oom", "on_crash"),
    (Ending(Cause.TIME_OUT, 0), "timeout", "on_crash"),
    (Ending(Cause.STALL, 143), "stalled", "on_crash"),
    (Ending(Cause.FENCE, 137), "runner_lost", "on_crash"),
    (Ending(Cause.SANDBOX), "sandbox_error", "on_crash"),
    (Ending(Cause.SECRETS), "secrets_unreadable", None),
    (Ending(Cause.ARTIFACT), "artifact_corrupt", None),
    (Ending(Cause.NETWORK), "network_refused", None),
]


@pytest.mark.parametrize(("ending", "reason", "hook"), HOOKS)
def test_each_ending_calls_its_hook(ending: Ending, reason: str, hook: str | None) -> None:
    assert ending.own_reason == reason
    found = hook_of(BOTH, ending.own_reason)
    assert found == (None if hook is None else (hook, BOTH[hook]))
    assert hook_of({"timeout_secs": 5}, ending.own_reason) is None


def test_a_lost_run_leaves_its_hook_even_after_a_stop() -> None:
    asked = {"desired_state": DesiredState.STOPPED, "stop_requested_at": 1.0, "hooks": BOTH}
    change = consequence(row(**asked), Ending(Cause.FENCE, 137), ACTOR)
    assert (change.event, change.values["hook_due"]) == (Event.LOSE_RUNNER, "runner_lost")
    assert outcome(Ending(Cause.STOP, 0), **asked) == (Event.FINISH_STOP, Reason.STOPPED_BY_USER)
