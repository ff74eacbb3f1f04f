"""One strategy with its run in one statement: what most requests of most clients ask for.

Not by the session, whose objects are made to be changed: half of a request's time went into them.
"""

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, select

from app.clients.service import Principal
from app.strategies.models import Run, Strategy

Inspected = SimpleNamespace
"""The columns of a strategy less the sealed ones; `run`, the same or None; `waiting`."""

_HIDDEN = ("secrets_", "sequence_api_key_", "create_fingerprint")
_NUL = "\0"  # PostgreSQL raises when it is asked for one


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


_STRATEGY, _RUN = _table(Strategy), _table(Run)
_COLUMNS = [column for column in _STRATEGY.c if not column.name.startswith(_HIDDEN)]
_NAMES = [column.name for column in _COLUMNS]
_RUN_NAMES = [column.name for column in _RUN.c]
_LOOK = (
    select(*_COLUMNS, *(column.label(f"run__{column.name}") for column in _RUN.c))
    .select_from(_STRATEGY.outerjoin(_RUN, _RUN.c.run_id == _STRATEGY.c.run_id))
    .where(
        and_(
            _STRATEGY.c.strategy_id == bindparam("strategy_id"),
            _STRATEGY.c.client_id == bindparam("client_id"),
            _STRATEGY.c.is_sandbox == bindparam("is_sandbox"),
            _STRATEGY.c.deleted_at.is_(None),
        )
    )
)


def look(connection: Connection, owner: Principal, strategy_id: str) -> Inspected | None:
    """The owner's strategy with its current or last run; None when there is none with this id."""
    if _NUL in strategy_id:
        return None
    mine = {"client_id": owner.client_id, "is_sandbox": owner.is_sandbox}
    found = connection.execute(_LOOK, {"strategy_id": strategy_id, **mine}).one_or_none()
    if found is None:
        return None
    values = tuple(found)
    own, runs = values[: len(_NAMES)], values[len(_NAMES) :]
    run = dict(zip(_RUN_NAMES, runs, strict=True))
    return Inspected(
        **dict(zip(_NAMES, own, strict=True)),
        run=None if run["run_id"] is None else SimpleNamespace(**run),
        waiting=None,
    )
