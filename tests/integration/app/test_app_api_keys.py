"""Keys over the API: made, shown, rotated, revoked; scopes; and those who guess."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import select, update
from support.api import Caller, Web, error
from support.redis_server import RedisServer

from app import admin
from app.api.context import EXTENSION
from app.clients.attempts import FailedAttempts
from app.clients.models import ApiKey
from app.clients.service import KeyKind
from app.clients.uses import KeyUses
from app.database import Database, database_now

SHOWN = {
    "key_id",
    "label",
    "prefix",
    "is_sandbox",
    "scopes",
    "created_at",
    "last_used_at",
    "expires_at",
}


def made(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.post("/api_keys", json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json["api_key"]
    return key


def keys(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/api_keys").json["api_keys"]
    return found


def with_key(caller: Caller, key: dict[str, Any]) -> Caller:
    return replace(caller, key=key["key"])


def set_column(database: Database, key_id: str, **values: Any) -> None:
    with database.transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.key_id == key_id).values(**values))


def test_a_new_key_is_shown_once_and_works(caller: Caller) -> None:
    key = made(caller, label="laptop")
    assert set(key) == SHOWN | {"key"}
    assert key["key"].startswith("seq_live_")
    assert key["key"].startswith(key["prefix"])
    assert key["scopes"] == ["read", "deploy"]
    assert with_key(caller, key).created()
    answer = caller.get("/api_keys")
    assert key["key"] not in answer.text
    assert {frozenset(one) for one in answer.json["api_keys"]} == {frozenset(SHOWN)}
    assert key["key_id"] in {one["key_id"] for one in keys(caller)}


def test_nothing_but_a_hash_is_stored(caller: Caller, database: Database) -> None:
    key = made(caller)
    with database.reading() as session:
        row = session.scalars(select(ApiKey).where(ApiKey.key_id == key["key_id"])).one()
        stored = repr(vars(row))
    assert key["key"] not in stored
    assert key["key"].removeprefix(key["prefix"]) not in stored


def test_sandbox_keys_are_made_by_both_and_live_ones_by_live_ones(web_process: Web) -> None:
    live, sandbox = web_process.caller(), web_process.caller(is_sandbox=True)
    assert made(live, sandbox=True)["key"].startswith("seq_test_")
    assert made(sandbox)["is_sandbox"] is True
    error(sandbox.post("/api_keys", json={"sandbox": False}), 403, "FORBIDDEN")
    assert {one["is_sandbox"] for one in keys(live)} == {True, False}
    assert {one["is_sandbox"] for one in keys(sandbox)} == {True}


@pytest.mark.parametrize(
    "body",
    [{"scopes": []}, {"scopes": ["root"]}, {"label": "x" * 101}, {"sandbox": "yes"}],
    ids=str,
)
def test_bad_keys_are_not_made(caller: Caller, body: dict[str, Any]) -> None:
    error(caller.post("/api_keys", json=body), 422, "VALIDATION_ERROR")


def test_a_rotated_key_is_valid_for_its_grace(caller: Caller, database: Database) -> None:
    old = made(caller, label="bot", scopes=["read"])
    path = f"/api_keys/{old['key_id']}/rotate"
    answer = caller.post(path, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    new = answer.json["api_key"]
    assert (new["label"], new["scopes"], new["expires_at"]) == ("bot", ["read"], None)
    assert with_key(caller, old).get().status_code == with_key(caller, new).get().status_code == 200
    by_id = {one["key_id"]: one for one in keys(caller)}
    assert by_id[old["key_id"]]["expires_at"] > by_id[old["key_id"]]["created_at"]
    error(caller.post(path), 409, "CONFLICT")
    set_column(database, old["key_id"], expires_at=database_now() - 1)
    error(with_key(caller, old).get(), 401, "UNAUTHORIZED")
    assert old["key_id"] not in {one["key_id"] for one in keys(caller)}


def test_a_rotation_may_end_the_old_key_at_once(caller: Caller) -> None:
    old = made(caller)
    caller.post(f"/api_keys/{old['key_id']}/rotate", json={"grace_secs": 0})
    error(with_key(caller, old).get(), 401, "UNAUTHORIZED")


def test_a_revoked_key_is_over(caller: Caller) -> None:
    key = made(caller)
    answer = caller.call("DELETE", f"/api_keys/{key['key_id']}")
    assert answer.json == {"key_id": key["key_id"], "revoked": True}
    error(with_key(caller, key).get(), 401, "UNAUTHORIZED")
    error(caller.call("DELETE", f"/api_keys/{key['key_id']}"), 404, "NOT_FOUND")


def test_the_last_use_is_noted_once_a_minute(web_process: Web, database: Database) -> None:
    caller = web_process.caller()
    key = made(caller)
    uses = KeyUses(database)

    def last_used_at() -> Any:
        return next(one for one in keys(caller) if one["key_id"] == key["key_id"])["last_used_at"]

    assert last_used_at() is None
    uses.note(key["key_id"])
    assert last_used_at() is not None
    set_column(database, key["key_id"], last_used_at=None)
    uses.note(key["key_id"])
    assert last_used_at() is None


def test_an_injected_key_does_not_lift_its_own_scopes(web_process: Web, caller: Caller) -> None:
    reader = made(caller, scopes=["read"])["key"]
    sandbox = web_process.caller(is_sandbox=True)
    error(sandbox.create(sequence_api_key=reader), 422, "VALIDATION_ERROR")
    assert caller.create(sequence_api_key=reader).status_code == 201


class TestGuesses:
    """Wrong keys of one address, of which two a minute are allowed here."""

    @pytest.fixture
    def guesser(self, web_process: Web, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Caller:
        few = replace(web_process.services, attempts=FailedAttempts(redis, 2))
        monkeypatch.setitem(web_process.flask.extensions, EXTENSION, few)
        return Caller(web_process.flask, "seq_live_" + "0" * 64)

    def test_too_many_are_told_to_wait(self, guesser: Caller, caller: Caller) -> None:
        for _ in range(2):
            error(guesser.get(), 401, "UNAUTHORIZED")
        answer = guesser.get()
        error(answer, 429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert caller.get().status_code == 200  # whoever has a key is let in all the same

    def test_each_address_is_counted_for_itself(self, guesser: Caller) -> None:
        for _ in range(3):
            guesser.get()
        elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
        error(guesser.get(environ_overrides=elsewhere), 401, "UNAUTHORIZED")

    def test_without_redis_nobody_is_counted(
        self, guesser: Caller, web_process: Web, own_redis: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server: RedisServer = own_redis()
        client = server.client()
        server.kill()
        services = web_process.services
        lost = replace(services, attempts=FailedAttempts(client, 1))
        monkeypatch.setitem(web_process.flask.extensions, EXTENSION, lost)
        for _ in range(3):
            error(guesser.get(), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_operator_makes_shows_and_revokes_keys(web_process: Web) -> None:
    settings = web_process.settings
    admin.create_client(settings, "acme", "first")
    kind = KeyKind(is_sandbox=True, label="bot", scopes=["read"])
    new = json.loads(admin.create_key(settings, "acme", kind))
    caller = Caller(web_process.flask, new["api_key"])
    assert caller.get().status_code == 200
    listed = admin.list_keys(settings, "acme")
    assert new["api_key"] not in listed
    assert [json.loads(line)["label"] for line in listed.splitlines()] == ["first", "first", "bot"]
    assert json.loads(admin.revoke_key(settings, new["key_id"]))["revoked"]
    assert caller.get().status_code == 401
    with pytest.raises(ValueError, match="make it with create-client"):
        admin.create_key(settings, "nobody", kind)
    with pytest.raises(ValueError, match="list-keys shows them"):
        admin.revoke_key(settings, "nothing")
