"""Real market processes for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.market_process import MarketProcess


@pytest.fixture
def new_market(
    tmp_path: Path, redis_url: str, sqlite_url: str
) -> Iterator[Callable[..., MarketProcess]]:
    """Makes market processes, not started yet, on one Redis and one database."""
    made: list[MarketProcess] = []

    def make(**environ: str) -> MarketProcess:
        folder = tmp_path / f"market-{len(made)}"
        folder.mkdir()
        environ = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, **environ}
        made.append(
            MarketProcess(folder, environ.pop("DATABASE_URL"), environ.pop("REDIS_URL"), **environ)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def market_process(new_market: Callable[..., MarketProcess]) -> MarketProcess:
    """A market process that answers."""
    return new_market().start()
