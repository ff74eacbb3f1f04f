"""`Idempotency-Key`: a create that comes again, in every way in which one may, changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update
from support.api import Caller, Web, error, strategy
from support.archives import base64_of, program
from support.owners import Rows

from app.database import Database, database_now
from app.models import IdempotencyKey, StrategyVersion
from app.strategies import idempotency

OTHER = base64_of(program("print('other')\n"))


def post(caller: Caller, key: str = "one", **fields: Any) -> Any:
    return caller.create(headers={"Idempotency-Key": key}, **fields)


def test_the_same_again_is_the_same(caller: Caller, rows: Rows) -> None:
    first, second = post(caller), post(caller)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json == first.json
    assert rows.count(StrategyVersion) == 1


def test_a_new_key_is_a_new_deploy(caller: Caller) -> None:
    assert [strategy(post(caller, key))["version"] for key in ("one", "two")] == [1, 2]


def test_without_a_key_other_settings_are_a_deploy(caller: Caller) -> None:
    assert [caller.created(env={"A": value})["version"] for value in "112"] == [1, 1, 2]


@pytest.mark.parametrize("fields", [{"env": {"A": "1"}}, {"artifact_base64": OTHER}])
def test_a_key_stands_for_one_request(caller: Caller, rows: Rows, fields: dict[str, Any]) -> None:
    post(caller)
    found = error(post(caller, **fields), 422, "VALIDATION_ERROR")
    assert found["details"][0]["field"] == "Idempotency-Key"
    assert "use a new one" in found["message"]
    error(post(caller, name="beta"), 422, "VALIDATION_ERROR")
    assert rows.count(StrategyVersion) == 1


def test_a_late_repetition_does_not_undo_what_came_after(caller: Caller) -> None:
    post(caller)
    newest = strategy(post(caller, "two", artifact_base64=OTHER))
    assert strategy(post(caller)) == newest


def test_a_late_repetition_does_not_start_what_was_stopped(caller: Caller) -> None:
    id = strategy(post(caller, start_immediately=True))["strategy_id"]
    caller.ask(id, "stop")
    assert strategy(post(caller, start_immediately=True))["status"] == "stopped"


def test_a_late_repetition_does_not_bring_back_what_was_deleted(caller: Caller) -> None:
    caller.delete(strategy(post(caller))["strategy_id"])
    assert "was deleted" in error(post(caller), 409, "CONFLICT")["message"]
    assert caller.get().json == {"strategies": []}
    assert post(caller, "two").status_code == 201


def test_after_a_refusal_the_key_is_free(caller: Caller) -> None:
    error(post(caller, entrypoint="mian.py"), 422, "VALIDATION_ERROR")
    assert post(caller).status_code == 201


def test_a_request_that_failed_on_our_side_may_come_again(
    web_process: Web, caller: Caller, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit itself fails; then it is carried out, and its answer lost on the way."""
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "leave", _fails)
        error(post(caller), 500, "INTERNAL_ERROR")
    assert rows.count(IdempotencyKey) == rows.count(StrategyVersion) == 0
    with monkeypatch.context() as broken:
        broken.setattr(type(web_process.services.waker), "wake", _fails)
        error(post(caller), 500, "INTERNAL_ERROR")
    assert post(caller).status_code == 200
    assert rows.count(StrategyVersion) == 1


def _fails(*_: Any) -> None:
    raise RuntimeError("the process is about to end")


def test_many_at_once_are_one(caller: Caller, rows: Rows) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(caller, start_immediately=True), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json["strategy"]["strategy_id"] for answer in answers}) == 1
    assert rows.count(StrategyVersion) == 1


def test_keys_of_others_are_others(web_process: Web, caller: Caller) -> None:
    assert post(caller).status_code == 201
    assert post(web_process.caller("rival"), artifact_base64=OTHER).status_code == 201
    sandbox = web_process.caller(is_sandbox=True)
    assert post(sandbox, artifact_base64=OTHER).status_code == 201
    assert post(web_process.caller()).status_code == 200, "another key of the same client"


def test_a_key_is_forgotten_after_a_day(caller: Caller, rows: Rows, database: Database) -> None:
    post(caller)
    with database.transaction() as session:
        idempotency.forget_old(session)
    assert rows.count(IdempotencyKey) == 1
    with database.transaction() as session:
        session.execute(
            update(IdempotencyKey).values(created_at=database_now() - idempotency.KEPT_S - 1)
        )
        idempotency.forget_old(session)
    assert rows.count(IdempotencyKey) == 0


@pytest.mark.parametrize("key", ["a" * 256, "a\tb", "\u00e9"])
def test_bad_keys(caller: Caller, key: str) -> None:
    error(post(caller, key), 422, "VALIDATION_ERROR")
    assert caller.get().json == {"strategies": []}


def test_neither_key_nor_body_is_stored(caller: Caller, database: Database) -> None:
    post(caller, "a-telling-key", secrets={"PIN": "1234"})
    with database.reading() as session:
        stored = session.query(IdempotencyKey).one()
        assert "telling" not in f"{stored.key_hash}{stored.fingerprint}"
        assert (len(stored.key_hash), len(stored.fingerprint)) == (64, 64)
