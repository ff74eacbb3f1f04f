"""Which strategies a list shows, and where its next page begins."""

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Detail, InvalidParamsError
from app.strategies.models import Strategy

_MOST_CHARS = 200


@dataclass(frozen=True)
class Place:
    """A place in the list, newest first: behind the strategy with this time and id."""

    created_at: float
    strategy_id: str

    def __str__(self) -> str:
        text = json.dumps([self.created_at, self.strategy_id])
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Selection:
    """What of the caller's strategies is asked for; None is all.

    Attributes:
        statuses: any of these.
        name_prefix: how the name begins, capital letters told from small ones.
        latency_target: where it runs, or waits.
        limit: as many at the most, behind `after`.
    """

    statuses: tuple[str, ...] = ()
    name_prefix: str = ""
    latency_target: str | None = None
    limit: int | None = None
    after: Place | None = None


@dataclass(frozen=True)
class StrategyPage:
    """Strategies, newest first; `next_cursor` is None when there are no more."""

    rows: Sequence[Strategy]
    next_cursor: str | None


def parse_place(cursor: str) -> Place:
    """The place that a client sent back.

    Raises:
        InvalidParamsError: it is not a `next_cursor` of ours.
    """
    try:
        if len(cursor) > _MOST_CHARS:
            raise ValueError
        created_at, strategy_id = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(created_at, float) or not math.isfinite(created_at):
            raise ValueError
        if not isinstance(strategy_id, str) or not strategy_id.isprintable():
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        message = "cursor is not the next_cursor of a page; begin again without one"
        raise InvalidParamsError(message, [Detail("cursor", message)]) from None
    return Place(created_at, strategy_id)
