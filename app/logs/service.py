"""Reading a page of a strategy's log."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.service import Principal
from app.errors import Detail, InvalidParamsError, NotFoundError
from app.logs.cursor import Cursor
from app.logs.filters import Filter
from app.logs.scan import Found, Scan, Span
from app.strategies import repository
from app.strategies import service as strategies
from app.strategies.models import Run

ALL_RUNS = "all"
OLDEST_FIRST, NEWEST_FIRST = "asc", "desc"


@dataclass(frozen=True)
class Query:
    """What a reader asked for.

    Attributes:
        run_id: None for the latest run or the cursor's, ALL_RUNS for every run.
        order: OLDEST_FIRST reads from the beginning of what was asked for, NEWEST_FIRST from its
            end; None takes the end nearest to the cursor, or the newest lines, and shows them
            oldest first.
    """

    run_id: str | None = None
    after: Cursor | None = None
    before: Cursor | None = None
    limit: int = 1000
    order: str | None = None
    wanted: Filter = field(default_factory=Filter)

    @property
    def is_forward(self) -> bool:
        """Whether reading begins at the oldest line."""
        if self.order is not None:
            return self.order == OLDEST_FIRST
        begins = self.after is not None or self.wanted.since_ms > 0
        return begins and self.before is None


@dataclass(frozen=True)
class Page:
    """Lines with their runs; the cursors are None when there is no more in that direction."""

    run_id: str | None
    lines: Sequence[Found]
    next_after: str | None = None
    next_before: str | None = None


def read(services: Services, caller: Principal, strategy_id: str, query: Query) -> Page:
    """A page: of the latest run, of the cursor's, of the one that is named, or of all.

    It may hold fewer lines than `limit`, or none, and still have a cursor: what one request looks
    through is bounded.

    Raises:
        NotFoundError: no such strategy or run.
        InvalidParamsError: the cursor belongs to another run than the one that is named, or
            nothing can be between the two.
    """
    row = strategies.get(services, caller, strategy_id)
    if query.after is not None and query.before is not None and query.after > query.before:
        message = f"after {query.after} is behind before {query.before}: no line is between them"
        raise InvalidParamsError(message, [Detail("after", message)])
    with services.database.reading() as session:
        runs = _runs(session, strategy_id, row.run_id, query)
    if not runs:
        return Page(None, [])
    run_id = runs[-1].run_id if query.run_id == ALL_RUNS else runs[0].run_id
    scan = Scan(services.logs, Span(query.after, query.before, query.wanted, query.limit))
    if query.is_forward:
        found = scan.forward(runs)
        return Page(run_id, found, next_after=_text(scan.stopped_at))
    found = scan.backward(reversed(runs))
    if query.order is None:
        found.reverse()
    return Page(run_id, found, next_before=_text(scan.stopped_at))


def _text(cursor: Cursor | None) -> str | None:
    return None if cursor is None else str(cursor)


def _runs(session: Session, strategy_id: str, latest: str | None, query: Query) -> list[Run]:
    """The runs to look through, oldest first."""
    if query.run_id == ALL_RUNS:
        low = query.after.epoch if query.after else 0
        high = query.before.epoch if query.before else None
        return list(repository.runs_between(session, strategy_id, low, high))
    cursors = [("after", query.after), ("before", query.before)]
    if query.run_id is not None:
        run = repository.find_run(session, strategy_id, query.run_id)
        if run is None:
            raise NotFoundError(f"the strategy has no run {query.run_id!r}")
    else:
        epochs = [cursor.epoch for _, cursor in cursors if cursor is not None]
        if epochs:
            run = repository.run_of_epoch(session, strategy_id, epochs[0])
        else:
            run = repository.find_run(session, strategy_id, latest) if latest else None
    if run is None:
        return []
    for name, cursor in cursors:
        if cursor is not None and cursor.epoch != run.epoch:
            message = f"the cursor {cursor} belongs to another run than {run.run_id}"
            raise InvalidParamsError(message, [Detail(name, message)])
    return [run]
