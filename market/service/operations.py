"""What can be asked of the market process, and what it answers."""

from collections.abc import Callable
from typing import Any

from app.database import Database
from market.calls.inbox import Request
from market.errors import (
    GraphConflictError,
    GraphInvalidError,
    MarketError,
    MarketUnknownError,
    SymbolInvalidError,
    TradingHaltedError,
)
from market.service.floor import Floor
from market.store import reader
from market.store.models import MarketGraph
from market.trading import GraphStatus, answer, balances, order_rows, unified_positions
from market.trading.accounts import reset, settle
from market.trading.preview import preview
from market.trading.records import GraphEntry, digest_of

Arguments = dict[str, Any]
_KINDS: tuple[tuple[type[MarketError], str], ...] = (
    (GraphInvalidError, "invalid"),
    (GraphConflictError, "conflict"),
    (TradingHaltedError, "halted"),
    (MarketUnknownError, "unknown"),
    (SymbolInvalidError, "symbol"),
)


class Clerk:
    """Does what requests ask for. An answer is `{"ok": ...}`, or `{"error": {kind, message}}`."""

    def __init__(self, floor: Floor, database: Database) -> None:
        self._floor = floor
        self._database = database
        # Submissions of this turn, which no row tells of yet.
        self._fresh: dict[tuple[str, str], GraphEntry] = {}
        self._does: dict[str, Callable[[str, Arguments, int], Any]] = {
            "cancel_graph": self._cancel_graph,
            "resume": self._resume,
            "cancel_order": self._cancel_order,
            "amend": self._amend,
            "cancel_venue": self._cancel_venue,
            "halt": self._halt,
            "clear": self._clear,
            "positions": self._positions,
            "balances": self._balances,
            "preview": self._preview,
            "reset": self._reset,
            "settings": self._settings,
            "redeem": self._redeem,
        }

    def answer(self, request: Request, now_ns: int) -> dict[str, Any]:
        """Do it; what the caller did wrong is an answer."""
        owner, arguments = request.owner, request.arguments
        self._floor.admit(owner)
        try:
            if request.operation == "submit":
                return {"ok": self._submit(request, now_ns)}
            if request.operation not in self._does:
                raise MarketError(
                    f"the market process does not know {request.operation!r}: it is of another "
                    "version than the web process; restart both"
                )
            return {"ok": self._does[request.operation](owner, arguments, now_ns)}
        except MarketError as error:
            kind = next((word for known, word in _KINDS if isinstance(error, known)), "refused")
            field = getattr(error, "field", None)
            return {"error": {"kind": kind, "message": str(error), "field": field}}

    def committed(self) -> None:
        """The turn is in the rows."""
        self._fresh.clear()

    def _submit(self, request: Request, now_ns: int) -> dict[str, Any]:
        owner, body = request.owner, request.arguments["body"]
        known = self._known(request, body)
        if known is not None:
            return known
        entry = self._floor.desk.submit(owner, body, now_ns, request.name)
        if request.name is not None:
            self._fresh[owner, request.name] = entry
        return answer(entry)

    def _known(self, request: Request, body: Any) -> dict[str, Any] | None:
        """The answer to a submission that came before; a name with another body is refused.

        What goes on is in memory, what is over in the rows, which are asked only when the caller
        named the graph or may repeat itself.
        """
        owner, name = request.owner, request.name
        if name is not None and (owner, name) in self._fresh:
            fresh = self._fresh[owner, name]
            return _same(fresh.digest, body, answer(fresh), is_named=True)
        graph_id = body.get("graph_id") if isinstance(body, dict) else None
        may_repeat = request.arguments.get("may_repeat", False)
        if graph_id is None and not may_repeat:
            return None
        found: MarketGraph | None = None
        with self._database.reading() as session:
            if name is not None and may_repeat:
                found = reader.graph_of_request(session, owner, name)
            by_name = found is not None
            is_gone = self._floor.desk.graph(owner, str(graph_id)) is None
            if found is None and isinstance(graph_id, str) and is_gone:
                found = reader.graph(session, owner, graph_id)
        if found is None:
            return None
        return _same(found.digest, body, _kept_answer(found), is_named=by_name)

    def _cancel_graph(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        graph_id = arguments["graph_id"]
        entry = self._floor.desk.cancel_graph(owner, graph_id, now_ns)
        return entry and {"graph_id": graph_id, "status": entry.run.status.value}

    def _resume(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        graph_id = arguments["graph_id"]
        entry = self._floor.desk.resume(owner, graph_id, now_ns)
        return entry and {"graph_id": graph_id, "status": entry.run.status.value}

    def _cancel_order(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        placed = self._floor.desk.cancel_order(owner, arguments["name"], now_ns)
        return placed and order_rows([placed])[0]

    def _amend(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        name = arguments["name"]
        desk = self._floor.desk
        receipt = desk.amend(
            owner, name, arguments.get("price_1e9"), arguments.get("qty_1e8"), now_ns
        )
        if receipt is None:
            return None
        if receipt.rejection is not None:
            raise MarketError(receipt.rejection.value)
        return order_rows([desk.placed(receipt.order.order_id)])[0]

    def _cancel_venue(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        venue = arguments["venue"]
        count = self._floor.desk.cancel_venue(owner, venue, now_ns)
        return {"venue": venue, "cancelled": count}

    def _halt(self, owner: str, arguments: Arguments, _now_ns: int) -> Any:
        self._floor.desk.halt(owner)
        return {"engaged": True, "reason": arguments.get("reason")}

    def _clear(self, owner: str, _arguments: Arguments, _now_ns: int) -> Any:
        self._floor.desk.clear(owner)
        return {"engaged": False}

    def _positions(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        with_closed = arguments.get("include_closed", False)
        ledger, books = self._floor.ledger, self._floor.books
        return unified_positions(ledger, books, owner, now_ns, include_closed=with_closed)

    def _balances(self, owner: str, _arguments: Arguments, _now_ns: int) -> Any:
        return balances(self._floor.ledger, owner)

    def _preview(self, _owner: str, arguments: Arguments, _now_ns: int) -> Any:
        return preview(arguments["body"], self._floor.catalogue, self._floor.books)

    def _reset(self, owner: str, _arguments: Arguments, now_ns: int) -> Any:
        cash_usd = self._floor.start_cash_usd[owner]
        count = reset(self._floor.desk, owner, cash_usd, now_ns)
        return {"cash_usd": cash_usd, "cancelled": count}

    def _settings(self, owner: str, arguments: Arguments, _now_ns: int) -> Any:
        if (cash_usd := arguments.get("start_cash_usd")) is not None:
            self._floor.start_cash_usd[owner] = cash_usd
            self._floor.desk.journal.account(owner)
        return {
            "start_cash_usd": self._floor.start_cash_usd[owner],
            "is_halted": self._floor.desk.is_halted(owner),
        }

    def _redeem(self, owner: str, arguments: Arguments, now_ns: int) -> Any:
        return settle(self._floor.desk, owner, arguments["slug"], arguments["venue"], now_ns)


def _same(digest: str, body: Any, known: dict[str, Any], *, is_named: bool) -> dict[str, Any]:
    """The answer of before. `is_named`: it was found by the request's own name."""
    if digest == digest_of(body):
        return known
    if is_named:
        raise GraphInvalidError(
            "Idempotency-Key", "came with another body before; take a new key for a new request"
        )
    raise GraphConflictError(
        f"graph_id {known['graph_id']!r} was submitted with another body; take a new graph_id"
    )


def _kept_answer(row: MarketGraph) -> dict[str, Any]:
    nodes = row.body.get("nodes")
    return {
        "graph_id": row.graph_id,
        "status": GraphStatus.ACTIVE.value,
        "node_count": 1 if nodes is None else len(nodes),
        "edge_count": len(row.body.get("edges") or []),
    }
