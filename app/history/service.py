"""What owners may ask about the past of their strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.api.context import Services
from app.clients.service import Principal
from app.errors import NotFoundError
from app.history import repository
from app.strategies import repository as strategies
from app.strategies import service
from app.strategies.models import Run, StrategyEvent

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some entries, newest first; `next_before` None says that there are no older ones."""

    entries: Sequence[T]
    next_before: int | None

    @classmethod
    def of(cls, found: Sequence[T], limit: int, number: Callable[[T], int]) -> Page[T]:
        """The first `limit` of what was found; one more among it says that there are older ones."""
        entries = found[:limit]
        return cls(entries, number(entries[-1]) if len(found) > limit else None)


def runs(
    services: Services, caller: Principal, strategy_id: str, *, before: int | None, limit: int
) -> Page[Run]:
    """Runs that are kept, newest first.

    Raises:
        NotFoundError: the caller has no such strategy.
    """
    service.get(services, caller, strategy_id)
    with services.database.reading() as session:
        found = repository.runs(session, strategy_id, before=before, limit=limit + 1)
    return Page.of(found, limit, lambda row: row.epoch)


def run(services: Services, caller: Principal, strategy_id: str, run_id: str) -> Run:
    """One run.

    Raises:
        NotFoundError: the caller has no such strategy, or it has no such run (any more).
    """
    service.get(services, caller, strategy_id)
    with services.database.reading() as session:
        found = strategies.find_run(session, strategy_id, run_id)
    if found is None:
        raise NotFoundError(f"the strategy has no run {run_id!r}")
    return found


def events(
    services: Services, caller: Principal, strategy_id: str, *, before: int | None, limit: int
) -> Page[StrategyEvent]:
    """Everything that happened to it, newest first.

    Raises:
        NotFoundError: the caller has no such strategy.
    """
    service.get(services, caller, strategy_id)
    with services.database.reading() as session:
        found = repository.events(session, strategy_id, before=before, limit=limit + 1)
    return Page.of(found, limit, lambda row: row.event_id)
