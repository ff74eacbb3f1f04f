"""What was promised, held against what the witness saw and what the rows say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from chaos.faults import Faults
from chaos.parts import Platform
from chaos.witness import Instance

from app.strategies.states import TRANSITIONS, Event, Status

_QUERY = """
    SELECT strategy_id, event, from_status, to_status, reason, actor, epoch
    FROM strategy_events ORDER BY event_id
"""


@dataclass(frozen=True)
class Timeline:
    """Everything that is known about one strategy, and what befell the platform meanwhile."""

    strategy_id: str
    instances: Sequence[Instance]
    events: Sequence[Sequence[Any]]
    faults: Sequence[tuple[float, str]]

    def __str__(self) -> str:
        begins_s = min([one.first_s for one in self.instances] + [at for at, _ in self.faults])
        moments = [(at, f"  fault: {what}") for at, what in self.faults]
        for one in self.instances:
            moments.append((one.first_s, f"epoch {one.epoch} gives its first sign"))
            moments.append((one.last_s, f"epoch {one.epoch} gives its last sign"))
        lines = [f"{at - begins_s:9.3f} s  {what}" for at, what in sorted(moments)]
        rows = [" ".join(map(str, event[1:])) for event in self.events]
        return "\n".join([f"strategy {self.strategy_id}", *lines, "its events:", *rows])


def events(platform: Platform) -> dict[str, list[Any]]:
    """The event rows of each strategy, in order."""
    found: dict[str, list[Any]] = {}
    with psycopg.connect(platform.postgres.url(platform.database)) as connection:
        for row in connection.execute(_QUERY):
            found.setdefault(row[0], []).append(row)
    return found


def timeline(platform: Platform, faults: Faults, strategy_id: str) -> Timeline:
    """For the reader of a failure."""
    rows = events(platform).get(strategy_id, [])
    return Timeline(strategy_id, platform.witness.instances(strategy_id), rows, faults.told)


def overlaps(instances: Sequence[Instance]) -> list[str]:
    """Moments at which two instances of a strategy lived."""
    found = [f"epoch {one.epoch} began {one.starts} times" for one in instances if one.starts > 1]
    found += [
        f"epoch {later.epoch} began {earlier.last_s - later.first_s:.3f} s before the last sign of"
        f" epoch {earlier.epoch}"
        for number, earlier in enumerate(instances)
        for later in instances[number + 1 :]
        if later.first_s <= earlier.last_s
    ]
    return found


def illegal(rows: Sequence[Any]) -> list[str]:
    """Transitions that the table does not have, or that do not begin where the last one ended."""
    found = []
    status, epoch = str(Status.STOPPED), 0
    for _, event, before, after, _, _, row_epoch in rows:
        if TRANSITIONS.get((Status(before), Event(event))) != after or before != status:
            found.append(f"{before} -{event}-> {after}, while it was {status}")
        if row_epoch < epoch:
            found.append(f"epoch {row_epoch} after {epoch}")
        status, epoch = after, row_epoch
    return found


def gaps_s(instances: Sequence[Instance]) -> list[float]:
    """How long nobody lived between one instance and the next."""
    pairs = itertools.pairwise(instances)
    return [later.first_s - earlier.last_s for earlier, later in pairs]
