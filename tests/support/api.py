"""The web tier with real services behind it, and callers that hold keys."""

from __future__ import annotations

import logging
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.api.context import EXTENSION, Services
from app.clients.service import KeyKind, Principal, authenticate, create_key, ensure_client
from app.factory import create_app
from app.logs.feed import Feed
from app.settings import Role, Settings
from market.web import market_part
from support.archives import base64_of, program
from support.environments import settings

_FEED_ENDS_WITHIN_S = 30.0
HELLO = program("print('hello')\n")


@dataclass(frozen=True)
class Caller:
    """Somebody with an API key."""

    flask: Flask
    key: str

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Any request below `/v1`."""
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return self.flask.test_client().open(
            f"/v1{path}", method=method, headers=headers, **options
        )

    def get(self, path: str = "/strategies", **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str = "/strategies", **options: Any) -> TestResponse:
        return self.call("POST", path, **options)

    def create(self, name: str = "alpha", headers: Any = None, **fields: Any) -> TestResponse:
        """Create, with a usable body unless `fields` say otherwise; None leaves one out."""
        return self.post(json=body(name=name, **fields), headers=headers or {})

    def created(self, name: str = "alpha", **fields: Any) -> dict[str, Any]:
        """The row of a create that worked."""
        return strategy(self.create(name, **fields))

    def row(self, strategy_id: str) -> dict[str, Any]:
        """The strategy as it stands now, as every other answer has it: without its run."""
        row = strategy(self.get(f"/strategies/{strategy_id}"))
        run = row.pop("run")
        assert (row.pop("waiting") is not None) == (row["status"] == "queued")
        assert (run["run_id"] if run else None) == row["run_id"]
        return row

    def ask(self, strategy_id: str, verb: str) -> dict[str, Any]:
        """The row after `start` or `stop`, sent as the published client does: without a body."""
        path = f"/strategies/{strategy_id}/{verb}"
        return strategy(self.post(path, headers={"Content-Type": "application/json"}))

    def patch(self, strategy_id: str, **changes: Any) -> TestResponse:
        """Change in place."""
        return self.call("PATCH", f"/strategies/{strategy_id}", json=changes)

    def delete(self, strategy_id: str) -> TestResponse:
        headers = {"Content-Type": "application/json"}
        return self.call("DELETE", f"/strategies/{strategy_id}", headers=headers)

    def logs(self, strategy_id: str, **query: Any) -> dict[str, Any]:
        """A page of the log."""
        answer = self.get(f"/strategies/{strategy_id}/logs", query_string=query)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json
        return page


@dataclass(frozen=True)
class Web:
    """One web process: the Flask app and what it works with."""

    flask: Flask
    settings: Settings

    @property
    def services(self) -> Services:
        services: Services = self.flask.extensions[EXTENSION]
        return services

    def keys(self, code: str = "acme") -> tuple[str, str]:
        """A live and a sandbox key of this client, which is made when there is none."""
        hasher = self.services.hasher
        with self.services.database.transaction() as session:
            client = ensure_client(session, code)
            live = create_key(session, hasher, client.client_id, KeyKind(False, "test"))
            test = create_key(session, hasher, client.client_id, KeyKind(True, "test"))
        return live.raw, test.raw

    def caller(self, code: str = "acme", *, is_sandbox: bool = False) -> Caller:
        """Somebody with a new key of this client."""
        return Caller(self.flask, self.keys(code)[is_sandbox])

    def principal(self, caller: Caller) -> Principal:
        """Who the caller is to the services."""
        with self.services.database.reading() as session:
            return authenticate(session, self.services.hasher, caller.key)


def _await_feeds(services: Services) -> None:
    """A feed ends by itself once its last follower is gone; until then it uses connections."""
    for thread in threading.enumerate():
        if isinstance(thread, Feed) and thread.tail.database is services.database:
            thread.join(_FEED_ENDS_WITHIN_S)
            assert not thread.is_alive(), thread.name


@contextmanager
def web(database_url: str, redis_url: str, **overrides: object) -> Any:
    """A web process on these services; its connections are closed at the end."""
    made = settings(Role.WEB, DATABASE_URL=database_url, REDIS_URL=redis_url, **overrides)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    one = Web(create_app(made, [market_part()]), made)
    # A process of its own may take all of logging; here pytest wants to see it.
    root.handlers = handlers
    root.setLevel(level)
    services = one.services
    with closing(services.database), closing(services.announcer):
        try:
            yield one
        finally:
            _await_feeds(services)
            services.redis.connection_pool.disconnect()
            services.feeds.redis.connection_pool.disconnect()


def body(**fields: Any) -> dict[str, Any]:
    """A create request's body."""
    made = {
        "name": "alpha",
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_base64": base64_of(HELLO),
        "start_immediately": False,
    }
    return {name: value for name, value in (made | fields).items() if value is not None}


def strategy(answer: TestResponse) -> dict[str, Any]:
    """The row in an answer that must be a success."""
    assert answer.status_code in (200, 201), answer.text
    row: dict[str, Any] = answer.json["strategy"]
    return row


def error(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The error in an answer, once its envelope was found to be complete."""
    assert answer.status_code == status, answer.text
    assert answer.is_json, answer.text
    found: dict[str, Any] = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert set(found) == {"code", "message", "request_id", "details"}
    assert found["code"] == code
    assert found["message"]
    assert found["request_id"] == answer.headers["X-Request-Id"]
    for detail in found["details"]:
        assert set(detail) == {"field", "message"}
    return found
