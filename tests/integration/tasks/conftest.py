"""A strategy in the database, made by the API, for the runner's side to work on."""

from __future__ import annotations

import pytest
from support.api import Caller
from support.owners import Rows, claims_of

from app.database import Database
from tasks.claims import Claims


@pytest.fixture
def claims(database: Database) -> Claims:
    """The claims of one runner."""
    return claims_of(database)


@pytest.fixture
def waiting(caller: Caller, rows: Rows) -> str:
    """The id of a strategy that waits in its queue."""
    strategy_id: str = caller.created(start_immediately=True)["strategy_id"]
    assert rows.strategy(strategy_id).status == "queued"
    return strategy_id
