"""Changes in place: what is merged, what makes a version, what a runner gets of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Caller, Web, error, strategy
from support.archives import base64_of, program
from support.owners import Rows, claimed, claims_of, ended

from app.database import Database
from app.secrets.envelope import EnvelopeError, Opener
from app.secrets.layers import MOST_LAYERS
from tasks.program import open_secrets


@pytest.fixture
def opener(web_process: Web) -> Opener:
    """What a runner of this platform opens secrets with."""
    return Opener(web_process.settings.credential_encryption_key)


@pytest.fixture
def id(caller: Caller) -> str:
    """A strategy that waits in its queue."""
    row = caller.created(
        artifact_base64=base64_of(program("pass", **{"clean.py": b"pass"})),
        env={"A": "1", "B": "2"},
        secrets={"TOKEN": "token-one", "OTHER": "other-one"},
        resources={"cpu_millis": 500, "memory_mb": 64, "timeout_secs": 60},
        restart={"policy": "always", "max_restarts": 3},
        start_immediately=True,
    )
    return str(row["strategy_id"])


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ({"env": {"A": None, "C": "3"}}, {"env": {"B": "2", "C": "3"}}),
        ({"env": None}, {"env": {}}),
        (
            {"resources": {"memory_mb": 128, "cpu_millis": None}},
            {"resources": {"cpu_millis": 250, "memory_mb": 128, "timeout_secs": 60}},
        ),
        (
            {"resources": None},
            {"resources": {"cpu_millis": 250, "memory_mb": 512, "timeout_secs": 0}},
        ),
        ({"restart": {"max_restarts": None}}, {"restart": {"policy": "always"}}),
        (
            {"placement": {"latency_target": "kalshi"}},
            {"placement": {"latency_target": ["kalshi"]}, "latency_target": "kalshi"},
        ),
        ({"stop": {"grace_secs": 1.5}}, {"stop": {"grace_secs": 1.5}}),
        ({"hooks": {"on_stop": "./clean.py"}}, {"hooks": {"on_stop": "clean.py"}}),
        ({"watchdog": {"silence_secs": 5}}, {"watchdog": {"silence_secs": 5}}),
        ({"network": {"mode": "none"}}, {"network": {"mode": "none"}}),
        ({"deploy": {"auto_rollback_secs": 9}}, {"deploy": {"auto_rollback_secs": 9}}),
    ],
    ids=str,
)
def test_what_is_given_is_merged_into_a_new_version(
    caller: Caller, id: str, changes: dict[str, Any], after: dict[str, Any]
) -> None:
    before = caller.row(id)
    row = strategy(caller.patch(id, **changes))
    assert row["version"] == 2
    assert {name: row[name] for name in after} == after
    same = {"version", "updated_at", *after}
    assert {k: v for k, v in row.items() if k not in same} == {
        k: v for k, v in before.items() if k not in same
    }
    newest = caller.get(f"/strategies/{id}/versions").json["versions"][0]
    assert (newest["version"], newest["origin"]) == (2, "update")


def test_a_schedule_is_put_in_force_and_taken_away(caller: Caller, id: str) -> None:
    row = strategy(caller.patch(id, schedule={"cron": "0 0 1 1 *"}))
    assert row["next_run_at"] is not None
    row = strategy(caller.patch(id, schedule=None))
    assert (row["schedule"], row["next_run_at"]) == ({}, None)


@pytest.mark.parametrize(
    "changes", [{}, {"env": {"A": "1", "Z": None}}, {"restart": {"policy": "always"}}], ids=str
)
def test_what_changes_nothing_is_no_version(
    caller: Caller, id: str, changes: dict[str, Any]
) -> None:
    before = caller.row(id)
    assert strategy(caller.patch(id, **changes)) == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "beta"}, "name"),
        ({"env": {"A B": "1"}}, "env"),
        ({"env": {"SEQUENCE_X": "1"}}, "env"),
        ({"env": {"A": "x" * 70_000}}, "env"),
        ({"secrets": {"A": 1}}, "secrets.A.value"),
        ({"resources": {"memory_mb": 1}}, "resources.memory_mb"),
        ({"resources": {"memory_gb": 1}}, "resources.memory_gb"),
        ({"network": {"allow": ["a.test"]}}, "network.allow"),
        ({"schedule": {"timezone": "UTC"}}, "schedule.cron"),
        ({"hooks": {"on_stop": "missing.py"}}, "hooks.on_stop"),
        ({"placement": {"latency_target": ["nasdaq"]}}, "placement.latency_target"),
        ({"restart": {"pol\0icy": 1}}, "restart"),
    ],
    ids=str,
)
def test_bad_changes_change_nothing(
    caller: Caller, id: str, changes: dict[str, Any], field: str
) -> None:
    before = caller.row(id)
    found = error(caller.patch(id, **changes), 422, "VALIDATION_ERROR")
    assert found["details"][0]["field"] == field
    assert caller.row(id) == before


def test_merged_variables_are_held_to_the_same_limit(caller: Caller, id: str) -> None:
    strategy(caller.patch(id, env={"LARGE": "x" * 60_000}))
    error(caller.patch(id, env={"MORE": "x" * 60_000}), 422, "VALIDATION_ERROR")


def test_secrets_are_merged_where_they_can_be_read(
    caller: Caller, id: str, opener: Opener, database: Database
) -> None:
    caller.patch(id, secrets={"TOKEN": "token-two", "NEW": "new-one"})
    answer = caller.patch(id, secrets={"OTHER": None, "PIN": "12"})
    assert answer.json["warnings"] == [
        "secret PIN has fewer than 6 characters: it is not masked in the log"
    ]
    assert "token" not in answer.text
    claim = claimed(claims_of(database), id)
    assert open_secrets(claim, opener) == {"TOKEN": "token-two", "NEW": "new-one", "PIN": "12"}


def test_all_secrets_are_removed_by_null(
    caller: Caller, id: str, opener: Opener, database: Database
) -> None:
    caller.patch(id, secrets={"NEW": "new-one"})
    caller.patch(id, secrets=None)
    assert open_secrets(claimed(claims_of(database), id), opener) == {}


def test_a_deploy_replaces_changed_secrets_and_a_rollback_brings_them_back(
    caller: Caller, id: str, opener: Opener, database: Database
) -> None:
    caller.patch(id, secrets={"TOKEN": "token-two"})
    caller.created(secrets={"TOKEN": "token-three"})
    claims = claims_of(database)
    third = claimed(claims, id)
    assert open_secrets(third, opener) == {"TOKEN": "token-three"}
    strategy(caller.post(f"/strategies/{id}/rollback", json={"version": 2}))
    claims.finish(third, ended(143))
    second = claimed(claims, id)
    assert open_secrets(second, opener) == {"TOKEN": "token-two", "OTHER": "other-one"}


def test_layers_do_not_open_in_another_order(
    caller: Caller, id: str, opener: Opener, rows: Rows, database: Database
) -> None:
    caller.patch(id, secrets={"A": "one-one"})
    caller.patch(id, secrets={"A": "two-two"})
    layers = rows.strategy(id).secrets_changes
    rows.change(id, secrets_changes=layers[::-1])
    with pytest.raises(EnvelopeError, match="altered or moved"):
        open_secrets(claimed(claims_of(database), id), opener)


def test_secrets_are_not_changed_in_place_for_ever(caller: Caller, id: str, rows: Rows) -> None:
    caller.patch(id, secrets={"A": "one-one"})
    rows.change(id, secrets_changes=rows.strategy(id).secrets_changes * MOST_LAYERS)
    answer = error(caller.patch(id, secrets={"A": "two-two"}), 409, "CONFLICT")
    assert "deploy the strategy again" in answer["message"]


def test_a_repeated_change_is_one(caller: Caller, id: str) -> None:
    first = strategy(caller.patch(id, secrets={"A": "one-one"}))
    assert strategy(caller.patch(id, secrets={"A": "one-one"})) == first
    assert strategy(caller.patch(id, secrets={"A": "two-two"}))["version"] == 3


def test_a_running_one_is_replaced(caller: Caller, id: str, rows: Rows, database: Database) -> None:
    claims = claims_of(database)
    old = claimed(claims, id)
    row = strategy(caller.patch(id, env={"A": "9"}))
    assert (row["status"], row["desired_state"]) == ("running", "running")
    assert rows.strategy(id).stop_requested_at is not None
    assert claims.finish(old, ended(143)).announce
    assert claimed(claims, id).env["A"] == "9"


def test_a_stopped_one_stays_stopped(caller: Caller, id: str) -> None:
    caller.ask(id, "stop")
    row = strategy(caller.patch(id, env={"A": "9"}))
    assert (row["status"], row["version"]) == ("stopped", 2)


def test_strangers_change_nothing(web_process: Web, caller: Caller, id: str) -> None:
    for stranger in (web_process.caller("rival"), web_process.caller(is_sandbox=True)):
        error(stranger.patch(id, env={"A": "9"}), 404, "NOT_FOUND")
    assert caller.row(id)["version"] == 1
