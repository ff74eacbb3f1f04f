"""The table of transitions: every pair of it, every pair that is not in it, nothing dead."""

from __future__ import annotations

import itertools

import pytest

from app.strategies.states import (
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    Status,
    diagram,
    next_status,
)

S, E = Status, Event

EXPECTED = {
    (S.STOPPED, E.START): S.QUEUED,
    (S.FAILED, E.START): S.QUEUED,
    (S.QUEUED, E.CLAIM): S.RUNNING,
    (S.RUNNING, E.COMPLETE): S.STOPPED,
    (S.RUNNING, E.FAIL): S.FAILED,
    (S.RUNNING, E.ABORT): S.FAILED,
    (S.FAILED, E.ROLL_BACK): S.QUEUED,
    (S.FAILED, E.RESTART_DUE): S.QUEUED,
    (S.STOPPED, E.RESTART_DUE): S.QUEUED,
    (S.RUNNING, E.FINISH_STOP): S.STOPPED,
    (S.RUNNING, E.FINISH_RESTART): S.QUEUED,
    (S.RUNNING, E.TIME_OUT): S.FAILED,
    (S.RUNNING, E.CRASH_LOOP): S.FAILED,
    (S.RUNNING, E.EVICT): S.QUEUED,
    (S.RUNNING, E.LOSE_RUNNER): S.QUEUED,
    (S.QUEUED, E.STOP): S.STOPPED,
    (S.FAILED, E.STOP): S.STOPPED,
    (S.STOPPED, E.STOP): S.STOPPED,
    (S.RUNNING, E.STOP): S.RUNNING,
    (S.RUNNING, E.START): S.RUNNING,
    (S.RUNNING, E.SKIP_TICK): S.RUNNING,
    (S.RUNNING, E.REPLACE): S.RUNNING,
}
OTHERS = sorted(set(itertools.product(S, E)) - set(EXPECTED))


def test_clients_know_four_statuses_and_no_others() -> None:
    assert {str(status) for status in Status} == {"queued", "running", "stopped", "failed"}


@pytest.mark.parametrize(("pair", "after"), EXPECTED.items(), ids=str)
def test_every_transition_of_the_table(pair: tuple[Status, Event], after: Status) -> None:
    assert next_status(*pair) == after


@pytest.mark.parametrize(("status", "event"), OTHERS)
def test_every_other_pair_raises(status: Status, event: Event) -> None:
    with pytest.raises(IllegalTransitionError, match=f"a {status} strategy cannot {event}"):
        next_status(status, event)


def test_the_table_holds_nothing_else() -> None:
    assert TRANSITIONS == EXPECTED


def test_every_event_and_every_status_is_used() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {status for status, _ in TRANSITIONS} == set(Status)
    assert set(TRANSITIONS.values()) == set(Status)


def test_only_a_claim_makes_it_run() -> None:
    into = [pair for pair, after in TRANSITIONS.items() if after == S.RUNNING != pair[0]]
    assert into == [(S.QUEUED, E.CLAIM)]


def test_the_diagram_has_an_arrow_for_each_transition() -> None:
    arrows = [line.strip() for line in diagram().splitlines() if "-->" in line]
    assert arrows[:2] == ["[*] --> stopped", "[*] --> queued"]
    assert arrows[2:] == [f"{a} --> {b}: {event}" for (a, event), b in EXPECTED.items()]
