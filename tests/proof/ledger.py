"""What the rows have to say after a crowd was at them."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import select

from app.database import Database
from app.models import Artifact, Base, Client, Run, Strategy, StrategyEvent, StrategyVersion
from app.strategies.definition import defining
from app.strategies.states import TRANSITIONS, Event, Status

_STAY = ("clients", "api_keys", "credential_keys", "idempotency_keys", "runners")


def faults(database: Database) -> list[str]:
    """Everything that must not be, of all strategies that there are."""
    with database.reading() as session:
        rows = session.scalars(select(Strategy)).all()
        versions = session.scalars(select(StrategyVersion)).all()
        events = session.scalars(select(StrategyEvent).order_by(StrategyEvent.event_id)).all()
        runs = session.scalars(select(Run)).all()
        stored = set(session.scalars(select(Artifact.sha256)))
        clients = set(session.scalars(select(Client.client_id)))
    needed = {one.artifact_sha256 for one in [*rows, *versions]}
    found = [f"orphan artifact {sha}" for sha in stored - needed]
    found += [f"missing artifact {sha}" for sha in needed - stored]
    found += [f"{row.strategy_id} is nobody's" for row in rows if row.client_id not in clients]
    by_id = defaultdict(list)
    for event in events:
        by_id[event.strategy_id].append(event)
    for row in rows:
        found += _of_life(row, by_id[row.strategy_id])
        found += _of_versions(row, [v for v in versions if v.strategy_id == row.strategy_id])
        found += _of_runs(row, [run for run in runs if run.strategy_id == row.strategy_id])
    return found


def left(database: Database) -> dict[str, int]:
    """Tables that still hold something after every strategy was deleted, with how much."""
    with database.reading() as session:
        counts = {
            table.name: len(session.execute(select(table)).all())
            for table in Base.metadata.sorted_tables
            if table.name not in _STAY
        }
    return {name: count for name, count in counts.items() if count}


def _of_life(row: Strategy, events: list[StrategyEvent]) -> list[str]:
    """Transitions that the table does not have, or that do not begin where the last one ended."""
    found, status, epoch = [], str(Status.STOPPED), 0
    for event in events:
        legal = TRANSITIONS.get((Status(event.from_status), Event(event.event)))
        if legal != event.to_status or event.from_status != status or event.epoch < epoch:
            found.append(f"{row.strategy_id}: {event.event} {event.from_status}>{event.to_status}")
        status, epoch = event.to_status, event.epoch
    if (status, epoch) != (row.status, row.epoch):
        found.append(f"{row.strategy_id}: {row.status} {row.epoch}, its events {status} {epoch}")
    return found


def _of_versions(row: Strategy, versions: list[StrategyVersion]) -> list[str]:
    numbers = sorted(one.version for one in versions)
    if not numbers or numbers != list(range(numbers[0], row.version + 1)):
        return [f"{row.strategy_id}: at version {row.version}, kept are {numbers}"]
    newest = max(versions, key=lambda one: one.version)
    same = defining(newest) == defining(row)
    return [] if same else [f"{row.strategy_id} is not what its version {row.version} is"]


def _of_runs(row: Strategy, runs: list[Run]) -> list[str]:
    alive = [run.run_id for run in runs if run.ended_at is None]
    expected = [row.run_id] if row.status == Status.RUNNING else []
    return [] if alive == expected else [f"{row.strategy_id} is {row.status}, alive {alive}"]
