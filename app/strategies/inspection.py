"""One strategy with its run in one statement: what most requests of most clients ask for.

Not by the session, whose objects are made to be changed: half of a request's time went into them.
"""

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Table, bindparam, select

from app.clients.service import Principal
from app.database import Database
from app.strategies.models import Run, Strategy
from app.strategies.schemas import RunSchema, StrategySchema

Inspected = SimpleNamespace
"""A strategy as its schema shows it; `run`, the same or None; `waiting`."""

_NUL = "\0"  # PostgreSQL raises when it is asked for one


def _columns(model: Any, *names: str) -> list[Any]:
    columns: Table = model.__table__
    return [column for column in columns.c if column.name in names]


# What their schemas show, and what `waiting` looks at besides.
_STRATEGY = _columns(Strategy, *StrategySchema().fields, "queued_at")
_RUN = _columns(Run, *RunSchema().fields)
_NAMES = [column.name for column in _STRATEGY]
_RUN_NAMES = [column.name for column in _RUN]
_LOOK = (
    select(*_STRATEGY, *(column.label(f"run__{column.name}") for column in _RUN))
    .outerjoin_from(Strategy, Run, Run.run_id == Strategy.run_id)
    .where(
        Strategy.strategy_id == bindparam("strategy_id"),
        Strategy.client_id == bindparam("client_id"),
        Strategy.is_sandbox == bindparam("is_sandbox"),
        Strategy.deleted_at.is_(None),
    )
)


def look(database: Database, owner: Principal, strategy_id: str) -> Inspected | None:
    """The owner's strategy with its current or last run; None when there is none with this id."""
    if _NUL in strategy_id:
        return None
    mine = {"client_id": owner.client_id, "is_sandbox": owner.is_sandbox}
    values = database.look_up(_LOOK, {"strategy_id": strategy_id, **mine})
    if values is None:
        return None
    run = dict(zip(_RUN_NAMES, values[len(_NAMES) :], strict=True))
    return Inspected(
        **dict(zip(_NAMES, values, strict=False)),
        run=None if run["run_id"] is None else SimpleNamespace(**run),
        waiting=None,
    )
