"""What the trading endpoints do: ask the market process, or read the rows that it wrote."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from app.api.context import services
from app.clients.service import Principal
from app.errors import (
    AppError,
    BadRequestError,
    ConflictError,
    Detail,
    InvalidParamsError,
    NotFoundError,
    TooLargeError,
    ValidationFailedError,
)
from market.calls import MarketCalls, UnansweredError
from market.calls.names import unanswered_key
from market.store import reader
from market.trading.owners import owner_name
from market.trading.records import digest_of
from market.trading.shapes import status_row
from market.web.live import refuse_live

_REMEMBERED_S = 60
_MOST_BYTES = 256 << 10
_MOST_DEEP = 20
_MOST_UNSAVED = 1_000


class TradingHaltedError(ConflictError):
    """The caller's own kill switch is engaged."""

    code = "TRADING_HALTED"


@dataclass(frozen=True)
class Trading:
    """The market process, as one web process reaches it."""

    calls: MarketCalls
    redis: Redis
    _unsaved: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict, repr=False)

    def submit(self, caller: Principal, body: dict[str, Any], key: str | None) -> Any:
        """Start a graph, once: `key` is the caller's own name for the request, or None.

        Without one, a body whose answer was lost on our side is taken for the repetition that it
        is when it comes again within a minute. Two equal bodies that were both answered are two
        orders.
        """
        if not caller.is_sandbox and body.get("is_sandbox") is not True:
            refuse_live(services().database, caller, body)
        check_text(body)
        owner, digest = owner_of(caller), digest_of(body)
        earlier = None if key is not None else self._lost(owner, digest)
        name = earlier or f"req:{uuid.uuid4().hex}"
        if key is not None:
            name = f"key:{hashlib.sha256(key.encode()).hexdigest()}"
        arguments = {"body": body, "may_repeat": key is not None or earlier is not None}
        try:
            return done(self.calls.ask("submit", owner, arguments, name))
        except UnansweredError:
            self._remember(owner, digest, name)
            raise

    def ask(self, caller: Principal, operation: str, **arguments: Any) -> Any:
        """What the market answers about the caller's account; None: there is no such thing."""
        return done(self.calls.ask(operation, owner_of(caller), arguments))

    def _lost(self, owner: str, digest: str) -> str | None:
        name, until_s = self._unsaved.pop((owner, digest), (None, 0.0))
        if name is not None and time.monotonic() < until_s:
            return name
        try:
            found: Any = self.redis.getdel(unanswered_key(owner, digest))
        except RedisError:
            # Then the call itself will fail, and say so.
            return None
        return None if found is None else str(found.decode())

    def _remember(self, owner: str, digest: str, name: str) -> None:
        try:
            self.redis.set(unanswered_key(owner, digest), name, ex=_REMEMBERED_S)
        except RedisError:
            # At least for those who come to this process again.
            self._unsaved[owner, digest] = (name, time.monotonic() + _REMEMBERED_S)
            while len(self._unsaved) > _MOST_UNSAVED:
                self._unsaved.pop(next(iter(self._unsaved)))


def owner_of(caller: Principal) -> str:
    """The caller's account. Live and test keys have one each, and never see the other's."""
    return owner_name(caller.client_id, is_sandbox=caller.is_sandbox)


def check_text(body: Any) -> None:
    """Refuse what a database cannot keep: such a body must not come as far as the market.

    Raises BadRequestError for odd text or numbers, TooLargeError.
    """
    try:
        text = json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequestError(
            "the body has a NaN, an unpaired surrogate, or is nested too deeply"
        ) from None
    if b"\\u0000" in text or _depth(body) > _MOST_DEEP:
        raise BadRequestError("the body has a NUL character, or is nested too deeply")
    if len(text) > _MOST_BYTES:
        raise TooLargeError(f"the body has {len(text)} bytes; a graph has at most {_MOST_BYTES}")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def done(answer: dict[str, Any]) -> Any:
    """What a request led to. Raises the error that the market answered."""
    if "error" not in answer:
        return answer["ok"]
    error = answer["error"]
    raise _KINDS.get(error["kind"], _refused)(error["message"], error["field"])


def graph(caller: Principal, graph_id: str) -> dict[str, Any]:
    """Where a graph is, from the rows. Raises NotFoundError."""
    with services().database.reading() as session:
        row = reader.graph(session, owner_of(caller), graph_id)
    if row is None:
        raise no_graph(graph_id)
    edges = len(row.body.get("edges") or [])
    return status_row(graph_id, row.status, row.state, edges, time.time_ns())


def order(caller: Principal, name: str) -> dict[str, Any]:
    """One order, from the rows. Raises NotFoundError."""
    with services().database.reading() as session:
        row = reader.order(session, owner_of(caller), name)
    if row is None:
        raise NotFoundError(
            f"there is no order {name!r}; GET /v1/orders lists yours, by `node_order_id`"
        )
    return row


def no_graph(graph_id: str) -> NotFoundError:
    """Says what is called instead when the id is what the client's `cancel` makes of an order's."""
    if graph_id == "graph":
        return NotFoundError(
            "'graph' is the beginning of a node_order_id, not a graph's id: to cancel one order "
            "call DELETE /v1/orders/{node_order_id}, to cancel its graph pass the graph_id"
        )
    return NotFoundError(f"there is no graph {graph_id!r}; POST /v1/orders answers the graph_id")


def _refused(message: str, _field: str | None) -> AppError:
    return ConflictError(message)


def _invalid(message: str, field: str | None) -> AppError:
    return ValidationFailedError([Detail(field or "", message)])


_KINDS: dict[str, Callable[[str, str | None], AppError]] = {
    "invalid": _invalid,
    "halted": lambda message, _: TradingHaltedError(message),
    "unknown": lambda message, _: NotFoundError(message),
    "symbol": lambda message, _: InvalidParamsError(message, [Detail("symbol", message)]),
}
