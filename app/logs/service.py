"""Reading a page of a strategy's log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.service import Principal
from app.errors import Detail, InvalidParamsError, NotFoundError
from app.logs import stream
from app.logs.cursor import Cursor
from app.logs.stream import Channel, Line
from app.strategies import repository
from app.strategies import service as strategies
from app.strategies.models import Run


@dataclass(frozen=True)
class Query:
    """What a reader asked for; `after` None asks for the newest lines."""

    run_id: str | None
    after: Cursor | None
    limit: int


@dataclass(frozen=True)
class Page:
    """Lines, oldest first; `next_after` is None when there are no more at the moment."""

    run_id: str | None
    lines: list[dict[str, Any]]
    next_after: str | None


def read(services: Services, caller: Principal, strategy_id: str, query: Query) -> Page:
    """A page of one run: the latest, the cursor's, or the one that is named.

    Raises:
        NotFoundError: no such strategy or run.
        InvalidParamsError: the cursor belongs to another run than the one that is named.
    """
    row = strategies.get(services, caller, strategy_id)
    with services.database.reading() as session:
        run = _run(session, strategy_id, row.run_id, query)
    if run is None:
        return Page(None, [], None)
    if query.after is None:
        lines = _read_last(services, run.run_id, query.limit)
        marked = with_gap_markers(lines, None if len(lines) == query.limit else 0)
        return Page(run.run_id, [record(run, line) for line in marked], None)
    number = query.after.number
    lines = stream.read_after(services.redis, run.run_id, number, query.limit + 1)
    page = with_gap_markers(lines[: query.limit], number)
    next_after = str(Cursor(run.epoch, page[-1].number)) if len(lines) > query.limit else None
    return Page(run.run_id, [record(run, line) for line in page], next_after)


def record(run: Run, line: Line) -> dict[str, Any]:
    """A line as clients see it."""
    return {
        "id": str(Cursor(run.epoch, line.number)),
        "run_id": run.run_id,
        "ts_ms": line.ts_ms,
        "stream": line.channel,
        "line": line.text,
    }


def with_gap_markers(lines: Sequence[Line], after: int | None) -> list[Line]:
    """The lines, with a line of ours wherever numbers are missing between `after` and them.

    Numbers are missing where old lines were trimmed, or where Redis lost its newest ones.
    """
    marked: list[Line] = []
    previous = after
    for line in lines:
        if previous is not None and line.number > previous + 1:
            gone = line.number - previous - 1
            text = f"{gone} lines of this run are not kept any more"
            marked.append(Line(line.number - 1, line.ts_ms, Channel.SYSTEM, text))
        marked.append(line)
        previous = line.number
    return marked


def _run(session: Session, strategy_id: str, latest: str | None, query: Query) -> Run | None:
    if query.run_id is not None:
        run = repository.find_run(session, strategy_id, query.run_id)
        if run is None:
            raise NotFoundError(f"the strategy has no run {query.run_id!r}")
        if query.after and query.after.epoch != run.epoch:
            message = f"the cursor {query.after} belongs to another run than {run.run_id}"
            raise InvalidParamsError(message, [Detail("after", message)])
        return run
    if query.after is not None:
        return repository.run_of_epoch(session, strategy_id, query.after.epoch)
    return repository.find_run(session, strategy_id, latest) if latest else None


def _read_last(services: Services, run_id: str, limit: int) -> list[Line]:
    found: list[Line] = []
    for batch in stream.backward(services.redis, run_id):
        found[:0] = batch.lines
        if len(found) >= limit:
            break
    return found[-limit:]
