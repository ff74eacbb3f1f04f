"""Strategies over the API: shapes of the contract, who sees what, what a repetition does."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from support.api import HELLO, Caller, Web, body, error, strategy
from support.archives import base64_of, program, tar_of, zip_of
from support.owners import Rows

from app.models import Artifact, Strategy
from app.strategies.policy_schemas import POLICIES

# The create response of the contract: none of these may change its type.
CONTRACT = {
    "strategy_id": str,
    "name": str,
    "runtime": str,
    "entrypoint": str,
    "artifact_sha256": str,
    "size_bytes": int,
    "desired_state": str,
    "status": str,
    "is_sandbox": bool,
    "created_at": int,
    "updated_at": int,
}
MORE = {"version": int, "status_reason": str, "restart_count": int, "latency_target": str}
ABSENT_AT_FIRST = ("run_id", "exit_code", "next_restart_at")
OTHER = base64_of(program("print('other')"))


def test_a_created_strategy_has_the_shape_of_the_contract(caller: Caller) -> None:
    before = int(time.time())
    answer = caller.create("alpha")
    assert answer.status_code == 201
    assert set(answer.json) == {"strategy"}
    row = strategy(answer)
    for name, kind in (CONTRACT | MORE).items():
        assert type(row[name]) is kind, name
    for name in ABSENT_AT_FIRST:
        assert row[name] is None
    uuid.UUID(row["strategy_id"])
    assert row["artifact_sha256"] == hashlib.sha256(HELLO).hexdigest()
    assert row["size_bytes"] == len(HELLO)
    assert (row["status"], row["status_reason"]) == ("stopped", "created")
    assert row["desired_state"] == "stopped"
    assert row["is_sandbox"] is False
    assert before <= row["created_at"] <= row["updated_at"] <= int(time.time())
    assert caller.row(row["strategy_id"]) == row
    assert caller.get().json == {"strategies": [row]}


def test_defaults(caller: Caller) -> None:
    row = caller.created()
    assert row["resources"] == {"cpu_millis": 250, "memory_mb": 512, "timeout_secs": 0}
    assert row["env"] == row["manifest"] == row["placement"] == row["risk"] == {}
    assert row["latency_target"] == "default"
    assert "secrets" not in row


def test_what_was_given_is_shown_but_secrets(caller: Caller) -> None:
    given = {
        "env": {"MODE": "paper", "ÜMLAUT".encode().hex().upper()[:1] + "X": "ü"},
        "manifest": {"strategy": {"name": "alpha"}, "list": [1, 2.5, None, True]},
        "placement": {"latency_target": ["kalshi", "coinbase"], "mode": "auto"},
        "resources": {"cpu_millis": 500, "memory_mb": 64, "timeout_secs": 3600},
        "risk": {"max_notional": 1000.5},
    }
    given["env"] = {"MODE": "paper", "NAME": "ü"}
    row = caller.created(secrets={"TOKEN": "t"}, sequence_api_key=caller.key, **given)
    assert {name: row[name] for name in given} == given
    assert row["latency_target"] == "kalshi"


def test_an_explicit_null_is_as_good_as_nothing(caller: Caller) -> None:
    empty = dict.fromkeys(
        ("manifest", "placement", "risk", "resources", "sequence_api_key", "env", "secrets")
    )
    assert caller.post(json=body() | empty).status_code == 201


@pytest.mark.parametrize("name", POLICIES)
def test_a_null_in_the_manifest_is_as_good_as_nothing(caller: Caller, name: str) -> None:
    row = caller.created(manifest={"hosted": {name: None}})
    assert row[name] == caller.created("other")[name]


def test_the_target_may_be_a_word_instead_of_a_list(caller: Caller) -> None:
    row = caller.created(placement={"latency_target": "kalshi"})
    assert row["placement"] == {"latency_target": ["kalshi"]}


def test_tar_gz_tar_and_zip_are_taken(caller: Caller) -> None:
    files = {"main.py": b"pass"}
    for number, content in enumerate((tar_of(files), tar_of(files, "w"), zip_of(files))):
        row = caller.created(f"s{number}", artifact_base64=base64_of(content))
        assert row["artifact_sha256"] == hashlib.sha256(content).hexdigest()


def test_secrets_and_the_key_are_visible_nowhere(web_process: Web, caller: Caller) -> None:
    canary = "canary-3b9f1c77e0d2"
    fields = {"secrets": {"TOKEN": canary}, "sequence_api_key": caller.key}
    answers = [caller.create(**fields)]
    strategy_id = strategy(answers[0])["strategy_id"]
    answers += [
        caller.get(),
        caller.get(f"/strategies/{strategy_id}"),
        caller.post(f"/strategies/{strategy_id}/start"),
        caller.post(f"/strategies/{strategy_id}/stop"),
        caller.get(f"/strategies/{strategy_id}/logs"),
        caller.create(**fields),
    ]
    for answer in answers:
        for hidden in (canary, caller.key, "secrets", "sequence_api_key", "ciphertext"):
            assert hidden not in answer.text
    with web_process.services.database.reading() as session:
        row = session.get(Strategy, strategy_id)
        assert row is not None
        stored = repr(vars(row))
    assert canary not in stored
    assert caller.key not in stored


def test_the_mode_follows_the_injected_key(web_process: Web) -> None:
    live_key, test_key = web_process.keys()
    live, sandbox = Caller(web_process.flask, live_key), Caller(web_process.flask, test_key)
    assert live.created("a")["is_sandbox"] is False
    assert sandbox.created("b")["is_sandbox"] is True
    assert live.created("c", sequence_api_key=test_key)["is_sandbox"] is True
    assert sandbox.created("d", sequence_api_key=live_key)["is_sandbox"] is False
    names = [{row["name"] for row in one.get().json["strategies"]} for one in (live, sandbox)]
    assert names == [{"a", "d"}, {"b", "c"}]


def test_another_clients_key_is_not_injected(web_process: Web, caller: Caller) -> None:
    foreign = web_process.caller("rival").key
    found = error(caller.create(sequence_api_key=foreign), 422, "VALIDATION_ERROR")
    assert found["details"][0]["field"] == "sequence_api_key"
    assert "not known here" in found["message"]


def test_clients_and_modes_never_see_each_other(web_process: Web, caller: Caller) -> None:
    own = caller.created()
    path = f"/strategies/{own['strategy_id']}"
    for stranger in (web_process.caller(is_sandbox=True), web_process.caller("rival")):
        assert stranger.get().json == {"strategies": []}
        for method, target in [
            ("GET", path),
            ("GET", f"{path}/logs"),
            ("GET", f"{path}/logs?follow=true"),
            ("POST", f"{path}/start"),
            ("POST", f"{path}/stop"),
            ("DELETE", path),
        ]:
            error(stranger.call(method, target), 404, "NOT_FOUND")
        # The same name is free for everybody else.
        assert stranger.created()["strategy_id"] != own["strategy_id"]
    assert caller.row(own["strategy_id"]) == own
    another_key_of_the_same_client = web_process.caller()
    assert another_key_of_the_same_client.row(own["strategy_id"]) == own


def test_the_list_is_newest_first(caller: Caller, rows: Rows) -> None:
    for number in range(3):
        rows.change(caller.created(f"s{number}")["strategy_id"], created_at=1000.0 + number)
    assert [row["name"] for row in caller.get().json["strategies"]] == ["s2", "s1", "s0"]


class TestRepeats:
    """A client retries a POST: the second must not start a second instance, nor a new version."""

    def test_the_same_create_twice_changes_nothing(self, caller: Caller, rows: Rows) -> None:
        first = caller.create(start_immediately=True)
        second = caller.create(start_immediately=True)
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.json == first.json
        events = rows.events(strategy(first)["strategy_id"])
        assert events == [("start", "queued", "key")]

    def test_it_is_a_new_deploy_after_a_minute(self, caller: Caller, rows: Rows) -> None:
        row = caller.created(start_immediately=True)
        rows.change(row["strategy_id"], create_fingerprint_at=rows.now() - 61)
        caller.ask(row["strategy_id"], "stop")
        assert caller.created(start_immediately=True)["status"] == "queued"

    def test_going_back_to_an_earlier_artifact_is_a_deploy(self, caller: Caller) -> None:
        first = caller.created()
        second = caller.created(artifact_base64=OTHER)
        third = caller.created()
        assert first["artifact_sha256"] == third["artifact_sha256"] != second["artifact_sha256"]
        assert first["strategy_id"] == second["strategy_id"] == third["strategy_id"]

    def test_changed_secrets_are_a_deploy(self, caller: Caller, rows: Rows) -> None:
        strategy_id = caller.created(secrets={"A": "1"})["strategy_id"]
        before = rows.strategy(strategy_id).secrets_ciphertext
        caller.created(secrets={"A": "2"})
        assert rows.strategy(strategy_id).secrets_ciphertext != before

    @pytest.mark.parametrize("verb", ["start", "stop"])
    def test_a_start_or_stop_between_ends_the_repetition(self, caller: Caller, verb: str) -> None:
        made = caller.created(start_immediately=True)
        caller.ask(made["strategy_id"], verb)
        again = caller.created(start_immediately=True)
        assert again["status"] == "queued"
        assert again["desired_state"] == "running"

    def test_what_ended_meanwhile_stays_ended(self, caller: Caller, rows: Rows) -> None:
        made = caller.created(start_immediately=True)
        rows.change(made["strategy_id"], status="stopped", desired_state="stopped")
        assert caller.created(start_immediately=True)["status"] == "stopped"

    def test_a_fingerprint_tells_nothing_of_the_body(self, caller: Caller, rows: Rows) -> None:
        fields = {"secrets": {"PIN": "1"}}
        strategy_id = caller.created(**fields)["strategy_id"]
        fingerprint = rows.strategy(strategy_id).create_fingerprint
        assert fingerprint is not None
        content = {k: v for k, v in body(**fields).items() if k != "artifact_base64"}
        plain = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        assert len(fingerprint) == 64
        assert fingerprint != plain


def test_an_artifact_is_forgotten_with_the_last_strategy_of_which_a_version_has_it(
    caller: Caller, rows: Rows
) -> None:
    ids = [caller.created(name)["strategy_id"] for name in "ab"]
    assert rows.count(Artifact) == 1
    caller.created("a", artifact_base64=OTHER)
    assert rows.count(Artifact) == 2
    caller.delete(ids[0])
    assert rows.count(Artifact) == 1
    caller.delete(ids[1])
    assert rows.count(Artifact) == 0


def test_a_replacement_replaces_every_setting(caller: Caller, rows: Rows) -> None:
    given = {"env": {"A": "1"}, "secrets": {"B": "2"}, "risk": {"c": 3}, "manifest": {"d": 4}}
    first = caller.created(sequence_api_key=caller.key, **given)
    second = caller.create(resources={"memory_mb": 64})
    assert second.status_code == 200
    row = strategy(second)
    assert row["strategy_id"] == first["strategy_id"]
    assert row["created_at"] == first["created_at"]
    assert row["env"] == row["risk"] == row["manifest"] == {}
    assert row["resources"]["memory_mb"] == 64
    stored = rows.strategy(row["strategy_id"])
    assert stored.sealed("secrets") is None
    assert stored.sealed("sequence_api_key") is None


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    """The answers of `count` calls that begin at the same moment."""
    answers: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def one(number: int) -> None:
        gate.wait()
        answers[number] = act(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_creates_of_one_name_at_once_make_one_strategy(caller: Caller, rows: Rows) -> None:
    artifacts = [base64_of(program(f"print({number})")) for number in range(8)]
    answers = together(
        8, lambda n: caller.create(artifact_base64=artifacts[n], start_immediately=True)
    )
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert [answer.status_code for answer in answers].count(201) == 1
    assert len({strategy(answer)["strategy_id"] for answer in answers}) == 1
    assert rows.count(Strategy) == 1
    assert rows.count(Artifact) == 8
    assert (
        strategy(caller.get(f"/strategies/{strategy(answers[0])['strategy_id']}"))["version"] == 8
    )
    assert rows.events(strategy(answers[0])["strategy_id"]) == [("start", "queued", "key")]


def test_the_same_create_at_once_is_one_create(caller: Caller) -> None:
    answers = together(6, lambda _: caller.create(start_immediately=True))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({json.dumps(answer.json, sort_keys=True) for answer in answers}) == 1


def test_creates_and_deletes_that_share_an_artifact(caller: Caller, rows: Rows) -> None:
    def act(number: int) -> list[int]:
        seen = []
        for turn in range(6):
            created = caller.create(f"s{number}-{turn}")
            seen.append(created.status_code)
            if created.status_code == 201:
                seen.append(caller.delete(strategy(created)["strategy_id"]).status_code)
        return seen

    for seen in together(6, act):
        assert seen == [201, 200] * 6
    assert rows.count(Strategy) == 0
    assert rows.count(Artifact) == 0


def test_starts_and_stops_at_once_leave_a_row_that_makes_sense(caller: Caller, rows: Rows) -> None:
    strategy_id = caller.created()["strategy_id"]
    answers = together(
        8, lambda n: caller.post(f"/strategies/{strategy_id}/{('start', 'stop')[n % 2]}")
    )
    assert {answer.status_code for answer in answers} == {200}
    row = caller.row(strategy_id)
    assert (row["desired_state"], row["status"]) in [("running", "queued"), ("stopped", "stopped")]
    statuses = [status for _, status, _ in rows.events(strategy_id)]
    assert all(a != b for a, b in itertools.pairwise(statuses))


def test_a_create_says_which_secrets_are_not_masked(caller: Caller) -> None:
    answer = caller.create("short", secrets={"PIN": "1234", "TOKEN": "long enough"})
    assert answer.json["warnings"] == [
        "secret PIN has fewer than 6 characters: it is not masked in the log"
    ]
    assert "warnings" not in caller.create("long", secrets={"TOKEN": "long enough"}).json
