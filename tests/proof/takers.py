"""Runners without sandboxes: they claim, hold, and end runs with the code that a runner uses."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

from redis import Redis
from sqlalchemy import or_, select
from support.owners import claims_of, ended

from app.database import Database
from app.strategies.models import Strategy
from app.strategies.states import Status
from app.strategies.termination import bury
from tasks.claims import Claim

_LOOK_EVERY_S = 0.03
_MOST_HELD = 3


class Witness:
    """Who holds which strategy; whoever takes one that is held has run it twice."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self.runs = 0
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()

    def begins(self, claim: Claim, runner_id: str) -> None:
        with self._lock:
            self.runs += 1
            other = self._held.get(claim.strategy_id)
            if other is not None:
                self.twice.append(f"{claim.strategy_id}: by {runner_id} while {other} had it")
            self._held[claim.strategy_id] = runner_id

    def ends(self, claim: Claim) -> None:
        with self._lock:
            self._held.pop(claim.strategy_id, None)


class Taker(threading.Thread):
    """One runner."""

    def __init__(self, database: Database, redis: Redis, witness: Witness, number: int) -> None:
        self.runner_id = f"taker-{number}"
        super().__init__(name=self.runner_id, daemon=True)
        self._database, self._redis, self._witness = database, redis, witness
        self._claims = claims_of(database, self.runner_id, lease_s=300.0)
        self._chance = random.Random(number)
        self._held: list[Claim] = []
        self._over = threading.Event()
        self.failure: BaseException | None = None

    def close(self) -> None:
        """End what runs, take nothing more."""
        self._over.set()
        self.join(60)

    def run(self) -> None:
        try:
            while not self._over.wait(_LOOK_EVERY_S):
                self._take()
                self._give_back(self._asked_to_end())
            self._give_back(self._held)
        except BaseException as error:  # for the thread that waits for this one
            self.failure = error

    def _take(self) -> None:
        with self._database.reading() as session:
            query = select(Strategy.strategy_id).where(Strategy.status == Status.QUEUED)
            waiting = session.scalars(query).all()
        for strategy_id in waiting:
            if len(self._held) < _MOST_HELD and (claim := self._claims.claim(strategy_id)):
                self._witness.begins(claim, self.runner_id)
                self._held.append(claim)

    def _asked_to_end(self) -> list[Claim]:
        """Those that their owner wants stopped, and now and then one that ends by itself."""
        found = self._claims.renew([claim.strategy_id for claim in self._held])
        asked = [claim for claim in self._held if found[claim.strategy_id][1]]
        by_itself = [claim for claim in self._held if self._chance.random() < 0.1]
        return list({claim.run_id: claim for claim in [*asked, *by_itself]}.values())

    def _give_back(self, ending: Sequence[Claim]) -> None:
        for claim in list(ending):
            self._held.remove(claim)
            self._witness.ends(claim)
            verdict = self._claims.finish(claim, ended(self._chance.choice([0, 1, 143])))
            assert verdict.is_ours, f"{claim.strategy_id} was taken from {self.runner_id}"
            if verdict.is_deleted:
                bury(self._database, self._redis, claim.strategy_id)


def unfinished(database: Database) -> list[str]:
    """Deleted ones that still have a row: their runner, or a request, is about to bury them."""
    with database.reading() as session:
        gone = or_(Strategy.deleted_at.is_not(None), Strategy.status == Status.RUNNING)
        return list(session.scalars(select(Strategy.strategy_id).where(gone)))
