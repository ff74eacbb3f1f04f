"""A real runner with real sandboxes inside the test's own process; Celery's part is played here."""

from __future__ import annotations

import base64
import itertools
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from app.log_context import REQUEST_ID_HEADER, bound
from app.settings import Role, load
from support.api import Caller, Web, web
from support.archives import base64_of, program
from support.environments import environment
from support.owners import Rows
from support.waiting import wait_until
from tasks.assembly import Assembly, assemble, take_apart

FIRST_UID = 330_000
_numbers = itertools.count(1)


def runner_name() -> str:
    """A name that no other runner of this host has."""
    return f"tests-{os.getpid()}-{next(_numbers)}"


class Pool(threading.Thread):
    """Takes messages from the queue and runs each in a thread, as Celery's thread pool does."""

    def __init__(self, redis: Redis, assembly: Assembly) -> None:
        super().__init__(name="pool", daemon=True)
        self._redis = redis
        self._assembly = assembly
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        while not self._closing.is_set():
            try:
                found: Any = self._redis.brpop(["default"], timeout=0.2)
            except (RedisError, OSError):
                continue
            if found:
                self.take(json.loads(found[1]))

    def take(self, message: dict[str, Any]) -> None:
        arguments = json.loads(base64.b64decode(message["body"]))[0]
        request_id = message["headers"].get(REQUEST_ID_HEADER)
        thread = threading.Thread(target=self._run, args=(*arguments, request_id))
        self._threads.append(thread)
        thread.start()

    def _run(self, strategy_id: str, request_id: str | None) -> None:
        with bound(request_id=request_id):
            self._assembly.runner.run(strategy_id, "default")

    def close(self) -> None:
        self._closing.set()
        self.join()

    def join_runs(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a run does not come to its end"


class Station:
    """A web process and a runner on one database and one Redis."""

    def __init__(self, one: Web, environ: dict[str, str]) -> None:
        self.web = one
        self.rows = Rows(one.services.database)
        self.caller: Caller = one.caller()
        self.environ = environ
        self.assembly: Assembly | None = None
        self._pool: Pool | None = None

    def open(self) -> None:
        """Start a runner."""
        self.assembly = assemble(load(Role.RUNNER, self.environ))
        self._pool = Pool(self.web.services.feeds.redis, self.assembly)
        self._pool.start()

    def close(self) -> None:
        """End it as a worker does: evict, wait, take apart."""
        assert self.assembly is not None
        assert self._pool is not None
        self._pool.close()
        self.assembly.runner.shut_down()
        take_apart(self.assembly)
        self._pool.join_runs()
        self.assembly = None

    def start(
        self,
        source: str,
        *,
        name: str = "",
        files: Mapping[str, bytes] | None = None,
        **fields: Any,
    ) -> str:
        """Deploy a program, with further files beside it, and start it; its id."""
        row = self.caller.created(
            name or f"strategy-{next(_numbers)}",
            artifact_base64=base64_of(program(source, **(files or {}))),
            start_immediately=True,
            **fields,
        )
        strategy_id: str = row["strategy_id"]
        return strategy_id

    def row(self, strategy_id: str) -> dict[str, Any]:
        return self.caller.row(strategy_id)

    def lines(self, strategy_id: str, run_id: str | None = None) -> list[tuple[str, str]]:
        """Channel and text of each line of a run, by default the latest."""
        query = {"limit": 10_000} | ({"run_id": run_id} if run_id else {})
        page = self.caller.logs(strategy_id, **query)["logs"]
        return [(line["stream"], line["line"]) for line in page]

    def said(self, strategy_id: str, run_id: str | None = None) -> list[str]:
        return [text for channel, text in self.lines(strategy_id, run_id) if channel != "system"]

    def wait_for(self, strategy_id: str, status: str, reason: str = "") -> dict[str, Any]:
        """The row, once it has this status, and this reason if one is given."""

        def there() -> dict[str, Any] | None:
            row = self.row(strategy_id)
            fits = row["status"] == status and reason in ("", row["status_reason"])
            return row if fits else None

        found = wait_until(there, lambda: f"{status} {reason}, but {self._now(strategy_id)}")
        assert found is not None
        return found

    def wait_for_line(self, strategy_id: str, line: str) -> None:
        wait_until(
            lambda: line in self.said(strategy_id),
            lambda: f"{line!r}, but {self._now(strategy_id)} and {self.lines(strategy_id)[-5:]}",
        )

    def wait_for_run(self, strategy_id: str, epoch: int, reason: str) -> str:
        """The id of a run, once it has ended for this reason and its last line is stored."""

        def ended() -> str | None:
            for run in self.rows.runs(strategy_id):
                if run.epoch == epoch and run.ended_at is not None:
                    assert run.reason == reason, (run.reason, self.lines(strategy_id, run.run_id))
                    is_told = self.lines(strategy_id, run.run_id)[-1:]
                    if is_told and is_told[0][0] == "system":
                        return run.run_id
            return None

        found = wait_until(ended, lambda: f"run {epoch} ends, but {self._now(strategy_id)}")
        assert found is not None
        return found

    def _now(self, strategy_id: str) -> str:
        if not self.rows.exists(strategy_id):
            return "there is no row"
        row = self.rows.strategy(strategy_id)
        return f"{row.status} {row.status_reason} epoch {row.epoch}"


@contextmanager
def station(database_url: str, redis_url: str, **overrides: object) -> Iterator[Station]:
    """A web process, and a runner that can be opened and closed."""
    made = environment(
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        RUNNER_NAME=runner_name(),
        RUNNER_FIRST_UID=FIRST_UID,
        RUNNER_MAX_STRATEGIES=8,
        STOP_GRACE_SECS=1,
        **overrides,
    )
    with web(**_for_web(made)) as one:
        place = Station(one, made)
        try:
            yield place
        finally:
            if place.assembly is not None:
                place.close()


def _for_web(environ: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = dict(environ)
    return {
        "database_url": options.pop("DATABASE_URL"),
        "redis_url": options.pop("REDIS_URL"),
        **options,
    }
