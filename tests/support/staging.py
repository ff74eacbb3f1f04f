"""A strategy whose runs are played by hand, line by line, and its readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import update
from werkzeug.test import TestResponse

from app.database import database_now
from app.logs import stream
from app.logs.cursor import Cursor
from app.logs.follow import Follower
from app.models import Run
from support.api import Caller, Web, web
from support.following import Event, Reader
from support.following import parse as parse_event
from support.owners import Rows, claimed, claims_of, ended, shipping, write
from support.waiting import wait_until
from tasks.claims import Claim, Claims
from tasks.ending import Ending
from tasks.logs.run_log import RunLog
from tasks.logs.shipper import LogShipper


class Stage:
    """A strategy whose runs are played by hand, with a real shipper and real rows."""

    def __init__(self, one: Web, redis_url: str, shipper: LogShipper) -> None:
        self.web = one
        self.caller: Caller = one.caller()
        self.claims: Claims = claims_of(one.services.database)
        self.rows = Rows(one.services.database)
        self.shipper = shipper
        self.redis_url = redis_url
        self.id: str = self.caller.created()["strategy_id"]
        self.readers: list[Reader] = []
        self.followers: list[Follower] = []

    def start(self) -> None:
        self.caller.ask(self.id, "start")

    def run(self, *lines: str) -> tuple[Claim, RunLog]:
        """Claim what waits and write these lines."""
        claim = claimed(self.claims, self.id)
        run_log = self.shipper.open(self.id, claim.run_id)
        write(run_log, *lines)
        return claim, run_log

    def end(self, run: tuple[Claim, RunLog], ending: Ending | None = None) -> None:
        """End a run as a runner does: the row first, then the last line."""
        claim, run_log = run
        self.claims.finish(claim, replace(ending or ended(0), log_lines=run_log.seal()))
        run_log.close("the end")

    def stored(self, run: tuple[Claim, RunLog], count: int) -> None:
        """Until that many lines are in Redis."""
        with self.web.services.redis.client() as redis:
            wait_until(
                lambda: len(stream.read_after(redis, run[0].run_id, 0, 100_000)) >= count,
                f"{count} lines are stored",
            )

    def follow(self, after: Cursor | None = None) -> Reader:
        principal = self.web.principal(self.caller)
        follower = Follower(self.web.services, principal, self.id, after)
        reader = Reader(follower.events())
        self.readers.append(reader)
        self.followers.append(follower)
        reader.wait_begun()
        return reader

    def age(self) -> None:
        """All runs so far ended a minute ago."""
        with self.web.services.database.transaction() as session:
            session.execute(update(Run).values(ended_at=database_now() - 60))

    def followed(self, headers: dict[str, str] | None = None) -> tuple[TestResponse, list[Event]]:
        """All events of one that is over, by HTTP."""
        path = f"/strategies/{self.id}/logs?follow=true"
        answer = self.caller.get(path, headers=headers or {})
        blocks = answer.get_data(as_text=True).split("\n\n")
        events = [parse_event(block) for block in blocks if block]
        return answer, [event for event in events if event is not None]

    def page(self, **query: Any) -> dict[str, Any]:
        return self.caller.logs(self.id, **query)

    def lines(self, **query: Any) -> list[str]:
        return [line["line"] for line in self.page(**query)["logs"]]


@contextmanager
def staged(database_url: str, redis_url: str, **options: Any) -> Iterator[Stage]:
    """A stage; options in capitals are settings of the web process, others the shipper's."""
    variables = {name: value for name, value in options.items() if name.isupper()}
    bounds = {name: value for name, value in options.items() if name not in variables}
    with (
        web(database_url, redis_url, **variables) as one,
        shipping(redis_url, **bounds) as shipper,
    ):
        stage = Stage(one, redis_url, shipper)
        yield stage
        if stage.readers:
            # Whoever still reads is told that it is over.
            stage.rows.change(stage.id, deleted_at=1.0)
            stream.notify(one.services.redis, stage.id)
            for reader in stage.readers:
                reader.outcome()
