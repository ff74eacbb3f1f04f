"""A process remembers keys for a moment; a revocation holds at once, and in every process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import event
from support.api import Caller, Web, error, web

from app.clients import known_keys, revocations
from app.clients.service import Principal


@dataclass(frozen=True)
class Pair:
    """Two web processes, an administrator of each, and a key that both have seen twice."""

    first: Web
    second: Web
    admin: Caller
    key_id: str
    key: str

    def at(self, one: Web) -> Caller:
        return Caller(one.flask, self.key)


@pytest.fixture
def pair(database_url: str, redis_url: str) -> Iterator[Pair]:
    limited = {"RATE_LIMIT_QPS": 1000}
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(web(database_url, redis_url, **limited)) for _ in range(2)
        )
        admin = first.caller()
        made = admin.post("/api_keys", json={"label": "bot"}).json["api_key"]
        both = Pair(first, second, admin, made["key_id"], made["key"])
        for one in (first, second, first, second):
            assert both.at(one).get().status_code == 200
        yield both


@contextmanager
def looks(one: Web) -> Iterator[list[str]]:
    """Statements about API keys that a process sends to its database."""
    engine = one.services.database.engine
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "api_keys.key_hash" in statement:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_key_that_is_known_is_not_looked_up(pair: Pair) -> None:
    with looks(pair.second) as seen:
        answer = pair.at(pair.second).get()
    assert (answer.status_code, seen) == (200, [])
    assert answer.headers["RateLimit-Limit"] == "2000"


def test_a_revoked_key_is_refused_at_once_everywhere(pair: Pair) -> None:
    assert pair.admin.call("DELETE", f"/api_keys/{pair.key_id}").status_code == 200
    for one in (pair.first, pair.second):
        error(pair.at(one).get(), 401, "UNAUTHORIZED")


def test_a_rotated_key_is_looked_up_until_it_ends(pair: Pair) -> None:
    path = f"/api_keys/{pair.key_id}/rotate"
    assert pair.admin.post(path, json={"grace_secs": 3600}).status_code == 200
    for _ in range(2):
        with looks(pair.second) as seen:
            assert pair.at(pair.second).get().status_code == 200
        assert len(seen) == 1


def test_without_redis_every_key_is_looked_up(pair: Pair, redis: Redis) -> None:
    """Nobody could tell a process of a revocation then."""
    away = replace(pair.second.services, rate=_Uncounted())  # as it is while Redis is away
    pair.second.flask.extensions["sequence"] = away
    assert pair.admin.call("DELETE", f"/api_keys/{pair.key_id}").status_code == 200
    error(pair.at(pair.second).get(), 401, "UNAUTHORIZED")
    assert redis.get(revocations.GENERATION) is not None


class _Uncounted:
    def take(self, _key_id: str) -> None:
        return None


def test_what_is_looked_up_during_a_revocation_is_not_remembered(pair: Pair) -> None:
    """The look finds the key valid; before it is counted, the key is revoked elsewhere."""
    services = pair.second.services
    services.known_keys.forget()
    find = services.rate.take

    def revoked_meanwhile(key_id: str) -> Any:
        assert pair.admin.call("DELETE", f"/api_keys/{pair.key_id}").status_code == 200
        return find(key_id)

    racing = replace(services, rate=type("Racing", (), {"take": staticmethod(revoked_meanwhile)})())
    pair.second.flask.extensions["sequence"] = racing
    assert pair.at(pair.second).get().status_code == 200, "it was valid when it was looked up"
    pair.second.flask.extensions["sequence"] = services
    error(pair.at(pair.second).get(), 401, "UNAUTHORIZED")


def test_nothing_is_known_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, principal = known_keys.KnownKeys(), Principal("c", "acme", "k", False, frozenset())
    keys.keep("hash", principal, b"1")
    assert keys.find("hash") is not None
    now = known_keys.time.monotonic()
    monkeypatch.setattr(known_keys.time, "monotonic", lambda: now + known_keys.KEPT_S)
    assert keys.find("hash") is None


def test_a_key_in_its_grace_is_not_remembered() -> None:
    keys = known_keys.KnownKeys()
    keys.keep("hash", Principal("c", "acme", "k", False, frozenset(), is_ending=True), b"1")
    assert keys.find("hash") is None
