"""Who may do what: every route of the app, every kind of key, own and foreign objects.

The routes come from the app's own map: one that is new and has no row here fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from support.api import Caller, Web, body
from support.owners import claimed, claims_of
from werkzeug.test import TestResponse

from app.api.auth import REQUIRES_KEY
from app.clients.models import ApiKey
from app.clients.service import KeyKind, Scope, create_key, ensure_client
from app.database import database_now

READ, DEPLOY, ADMIN = Scope.READ, Scope.DEPLOY, Scope.ADMIN
ORDER = [READ, DEPLOY, ADMIN]
OPEN = {
    *("health.live", "health.ready", "openapi.read_specification", "openapi.read_page"),
    "metrics.read_metrics",  # no key opens it
}


@dataclass(frozen=True)
class Row:
    """What a route asks for, and a request that succeeds for who may make it."""

    scope: Scope
    body: dict[str, Any] | None = None


MATRIX = {
    ("strategies.create_strategy", "POST"): Row(DEPLOY, body()),
    ("strategies.list_strategies", "GET"): Row(READ),
    ("strategies.get_strategy", "GET"): Row(READ),
    ("strategies.update_strategy", "PATCH"): Row(DEPLOY, {"env": {"A": "1"}}),
    ("strategies.start_strategy", "POST"): Row(DEPLOY),
    ("strategies.stop_strategy", "POST"): Row(DEPLOY),
    ("strategies.delete_strategy", "DELETE"): Row(DEPLOY),
    ("deployments.list_versions", "GET"): Row(READ),
    ("deployments.roll_back", "POST"): Row(DEPLOY, {"version": 1}),
    ("history.list_runs", "GET"): Row(READ),
    ("history.get_run", "GET"): Row(READ),
    ("history.list_events", "GET"): Row(READ),
    ("logs.read_logs", "GET"): Row(READ),
    ("runners.list_runners", "GET"): Row(READ),
    ("account.get_account", "GET"): Row(READ),
    ("api_keys.create_key", "POST"): Row(ADMIN, {}),
    ("api_keys.list_keys", "GET"): Row(ADMIN),
    ("api_keys.rotate_key", "POST"): Row(ADMIN),
    ("api_keys.revoke_key", "DELETE"): Row(ADMIN),
}
# Lists and makers name no object; that they show nothing foreign is tested with each of them.
_WITHOUT = (
    "create_strategy",
    "list_strategies",
    "list_runners",
    "create_key",
    "list_keys",
    "get_account",
)
WITH_OBJECT = [route for route in MATRIX if not route[0].endswith(_WITHOUT)]


def routes(app: Flask) -> dict[tuple[str, str], str]:
    """Endpoint and method of every route that asks for a key, with its path."""
    return {
        (rule.endpoint, method): rule.rule
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint not in OPEN | {"static"} and not rule.endpoint.startswith("api-docs.")
    }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_route_has_a_row_and_asks_for_its_scope(web_process: Web) -> None:
    app = web_process.flask
    found = {
        route: getattr(app.view_functions[route[0]], REQUIRES_KEY, None) for route in routes(app)
    }
    assert found == {route: row.scope for route, row in MATRIX.items()}


class World:
    """Clients, their keys and their objects."""

    def __init__(self, web: Web) -> None:
        self.web = web

    def key(self, code: str, *scopes: Scope, is_sandbox: bool = False) -> tuple[Caller, str]:
        """A new key and its id."""
        with self.web.services.database.transaction() as session:
            client = ensure_client(session, code)
            kind = KeyKind(is_sandbox, "matrix", scopes)
            new = create_key(session, self.web.services.hasher, client.client_id, kind)
        return Caller(self.web.flask, new.raw), new.row.key_id

    def ended(self, **values: Any) -> Caller:
        """A key that was valid once."""
        caller, key_id = self.key("acme", *ORDER)
        with self.web.services.database.transaction() as session:
            session.execute(update(ApiKey).where(ApiKey.key_id == key_id).values(**values))
        return caller

    def object(self, path: str, code: str, *, is_sandbox: bool = False) -> str:
        """The path with the ids of new objects of this client in it."""
        owner, key_id = self.key(code, *ORDER, is_sandbox=is_sandbox)
        path = path.replace("<key_id>", key_id)
        if "<strategy_id>" in path:
            has_run = "<run_id>" in path
            strategy_id = owner.created(f"s-{key_id}", start_immediately=has_run)["strategy_id"]
            path = path.replace("<strategy_id>", strategy_id)
            if has_run:
                run_id = claimed(claims_of(self.web.services.database), strategy_id).run_id
                path = path.replace("<run_id>", run_id)
        assert not re.search("<[^>]+>", path), f"the matrix cannot make the objects of {path}"
        return path.removeprefix("/v1")


@pytest.fixture
def world(web_process: Web) -> World:
    return World(web_process)


@pytest.fixture
def send(route: tuple[str, str]) -> Callable[[Caller, str], TestResponse]:
    """One request to a path of the route."""

    def call(caller: Caller, path: str) -> TestResponse:
        options = {} if MATRIX[route].body is None else {"json": MATRIX[route].body}
        return caller.call(route[1], path, **options)

    return call


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestForeignObjects:
    """Those of other clients and of the other mode, for each route that names one."""

    @pytest.mark.parametrize("route", WITH_OBJECT, ids=lambda route: route[0])
    def test_they_are_not_there(
        self, world: World, send: Callable[..., TestResponse], route: tuple[str, str]
    ) -> None:
        rule = routes(world.web.flask)[route]
        caller, _ = world.key("acme", *ORDER)
        sandbox, _ = world.key("acme", *ORDER, is_sandbox=True)
        foreign = world.object(rule, "rival")
        answers = [
            send(caller, foreign).status_code,
            send(sandbox, foreign).status_code,
            send(sandbox, world.object(rule, "acme")).status_code,
        ]
        if "<strategy_id>" in rule:
            answers.append(send(caller, world.object(rule, "acme", is_sandbox=True)).status_code)
        assert set(answers) == {404}
        # With too few scopes the answer is the same whether or not it is there.
        reader, _ = world.key("acme", READ)
        expected = 404 if MATRIX[route].scope == READ else 403
        assert send(reader, foreign).status_code == expected

    def test_the_routes_above_are_those_with_an_object(self, world: World) -> None:
        found = {route for route, rule in routes(world.web.flask).items() if "<" in rule}
        assert found == set(WITH_OBJECT)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("route", MATRIX, ids=lambda route: route[0])
class TestMatrix:
    """Each route in turn."""

    def test_without_a_valid_key_nothing_is_there(
        self, world: World, send: Callable[..., TestResponse], route: tuple[str, str]
    ) -> None:
        path = world.object(routes(world.web.flask)[route], "acme")
        valid, _ = world.key("acme", *ORDER)
        callers = {
            "no key": replace(valid, key=""),
            "no form of a key": replace(valid, key="password"),
            "unknown": replace(valid, key="seq_live_" + "0" * 64),
            "revoked": world.ended(revoked_at=database_now()),
            "beyond its grace": world.ended(expires_at=database_now() - 1),
        }
        answers = {name: send(caller, path).status_code for name, caller in callers.items()}
        assert answers == dict.fromkeys(callers, 401)

    def test_a_key_does_what_its_scopes_say(
        self, world: World, send: Callable[..., TestResponse], route: tuple[str, str]
    ) -> None:
        rule = routes(world.web.flask)[route]
        for is_sandbox in (False, True):
            # Those who may come last: what they do may well remove the object.
            own = world.object(rule, "acme", is_sandbox=is_sandbox)
            for scope in ORDER:
                caller, _ = world.key("acme", scope, is_sandbox=is_sandbox)
                is_enough = ORDER.index(scope) >= ORDER.index(MATRIX[route].scope)
                status = send(caller, own).status_code
                assert (200 <= status < 300) if is_enough else status == 403, (scope, is_sandbox)
                if is_enough and route[1] != "GET":
                    own = world.object(rule, "acme", is_sandbox=is_sandbox)
