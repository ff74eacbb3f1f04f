"""The desk: takes graphs, sends their orders to the books, and keeps what became of them."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from market.catalogue import Catalogue
from market.engine import BookKey, Ledger, Order, Receipt, Rejection, Status, Trade, VenueBooks
from market.errors import GraphConflictError, TradingHaltedError
from market.fixed_point import snapped
from market.sources import Print
from market.sources.protocol import CROWD
from market.trading import routing
from market.trading.admission import refusal
from market.trading.graph import GraphRun, GraphStatus, NodeRun, NodeState
from market.trading.journal import Changes, Journal
from market.trading.parse import parse_graph
from market.trading.records import Fill, GraphEntry, Placed, digest_of, node_order_id, turned

# Each is looked at for every new order of its owner: a bound on time, and on memory.
MAX_LIVE_ORDERS = 1_000
_ENDS = {Status.CANCELLED: NodeState.CANCELLED, Status.REJECTED: NodeState.REJECTED}


class Desk:
    """Everybody's orders; single-threaded. Times come from the caller, in Unix nanoseconds.

    `new_id` makes a graph's id when its owner gave none.
    """

    def __init__(
        self, catalogue: Catalogue, books: VenueBooks, ledger: Ledger, new_id: Callable[[], str]
    ) -> None:
        self.catalogue = catalogue
        self.books = books
        self.ledger = ledger
        self.journal = Journal()
        self._new_id = new_id
        self._graphs: dict[tuple[str, str], GraphEntry] = {}
        self._active: dict[tuple[str, str], GraphEntry] = {}
        self._timed: dict[tuple[str, str], GraphEntry] = {}
        self._placed: dict[str, Placed] = {}
        self._live: dict[str, dict[str, Placed]] = {}
        self._halted: set[str] = set()
        self._to_start: deque[tuple[GraphEntry, str]] = deque()

    @property
    def fills(self) -> list[Fill]:
        """The fills since the last `take_changes`, oldest first."""
        return self.journal.changes.fills

    def submit(self, owner: str, body: Any, now_ns: int, request: str | None = None) -> GraphEntry:
        """Start a graph; the same `graph_id` with the same body is the graph it already is.

        `request` names the submission for whoever keeps it. What a venue or the owner's means
        refuse is a rejected node, with its reason. Raises GraphInvalidError, GraphConflictError,
        and TradingHaltedError after a kill switch.
        """
        spec = parse_graph(body, self.catalogue)
        digest = digest_of(body)
        graph_id = spec.graph_id or self._new_id()
        known = self._graphs.get((owner, graph_id))
        if known is not None:
            if known.digest == digest:
                return known
            raise GraphConflictError(
                f"graph_id {graph_id!r} was submitted with another body; take a new graph_id"
            )
        self._check_halt(owner)
        entry = GraphEntry(owner, GraphRun(graph_id, spec), digest, body, now_ns, request)
        self._adopt(entry)
        self.journal.graph(entry)
        self._start(entry, entry.run.start(now_ns), now_ns)
        return entry

    def advance(self, prints: Iterable[Print], now_ns: int) -> None:
        """Book what a source traded, send slices that are due, and fire time-outs."""
        self._book(p for p in prints if {p.trade.maker.owner, p.trade.taker.owner} != {CROWD})
        self._drain(now_ns)
        for entry in list(self._timed.values()):
            if not entry.run.is_paused:
                self._send_due(entry, now_ns)
            self._start(entry, entry.run.tick(now_ns), now_ns)

    def take_changes(self) -> Changes:
        """What changed since the last call; graphs that have ended are forgotten with it."""
        changes = self.journal.take()
        for name, entry in changes.graphs.items():
            if name not in self._active:
                self._graphs.pop(name, None)
                for placed in entry.sent:
                    self._placed.pop(placed.order.order_id, None)
        return changes

    def restore(self, entries: Iterable[GraphEntry], halted: Iterable[str], now_ns: int) -> None:
        """Go on with graphs of an earlier process: their orders rest again, or trade at once."""
        self._halted.update(halted)
        found = list(entries)
        for entry in found:
            self._adopt(entry)
        placed = [one for entry in found for one in entry.sent]
        for one in sorted(placed, key=lambda one: one.created_ns):
            self._placed[one.order.order_id] = one
            if one.order.is_live:
                # It bound no more than the fee of a maker: a taker's could be more than there is.
                one.order.is_put_back = True
                receipt = self.books.open(one.key).submit(one.order)
                one.reason = receipt.rejection
                self._digest(one, receipt, now_ns)
                one.order.is_put_back = False
                ended = _ENDS.get(one.order.status, NodeState.EXPIRED)
                self._close(one.entry, one.node.node_id, ended, now_ns, one.reason)
        self._drain(now_ns)

    def is_halted(self, owner: str) -> bool:
        """Whether the kill switch of an owner is engaged."""
        return owner in self._halted

    def resting(self, owner: str) -> list[Placed]:
        """The live orders of an owner, oldest first."""
        return list(self._live.get(owner, {}).values())

    def graph(self, owner: str, graph_id: str) -> GraphEntry | None:
        """A graph of an owner, or None."""
        return self._graphs.get((owner, graph_id))

    def placed(self, order_id: str) -> Placed:
        """An order by the id that its book knows. Raises KeyError when it was forgotten."""
        return self._placed[order_id]

    def active_graphs(self, owner: str) -> list[str]:
        """The ids of an owner's graphs that have not ended."""
        return [graph_id for name, graph_id in self._active if name == owner]

    def orders(self, owner: str) -> list[Placed]:
        """All orders of an owner, oldest first."""
        return [one for one in self._placed.values() if one.entry.owner == owner]

    def cancel_graph(self, owner: str, graph_id: str, now_ns: int) -> GraphEntry | None:
        """Cancel a graph and its resting orders; None when the owner has none of that id."""
        entry = self._graphs.get((owner, graph_id))
        if entry is None:
            return None
        entry.run.cancel(now_ns)
        self.journal.graph(entry)
        entry.waiting.clear()
        for placed in entry.sent:
            self._cancel_in_book(placed)
        self._retire(entry)
        return entry

    def cancel_order(self, owner: str, name: str, now_ns: int) -> Placed | None:
        """Cancel one live order, and its node with it; None when there is no such order."""
        placed = self._live.get(owner, {}).get(name)
        if placed is None:
            return None
        self._cancel_in_book(placed)
        self._cancelled(placed, now_ns)
        self._drain(now_ns)
        return placed

    def cancel_venue(self, owner: str, venue: str, now_ns: int) -> int:
        """Cancel every live order of an owner on one venue; how many there were."""
        names = [name for name, one in self._live.get(owner, {}).items() if one.key.venue == venue]
        return sum(self.cancel_order(owner, name, now_ns) is not None for name in names)

    def amend(
        self, owner: str, name: str, limit_1e9: int | None, qty_1e8: int | None, now_ns: int
    ) -> Receipt | None:
        """Change a live order, in its instrument's prices; None when there is no such order.

        Raises TradingHaltedError after a kill switch.
        """
        placed = self._live.get(owner, {}).get(name)
        if placed is None:
            return None
        self._check_halt(owner)
        rules = self.books[placed.key].rules
        price, qty_1e8 = routing.change(placed.node, rules, limit_1e9, qty_1e8)
        if not self._can_pay(placed, price, qty_1e8):
            return Receipt(placed.order, Rejection.CANNOT_PAY, [], [])
        before = placed.order.qty_1e8
        receipt = self.books[placed.key].amend(placed.order.order_id, price, qty_1e8)
        if receipt is not None:
            placed.entry.run.nodes[placed.node.node_id].qty_1e8 += placed.order.qty_1e8 - before
            self._digest(placed, receipt, now_ns)
            if placed.order.status is Status.CANCELLED:  # it met an order of its owner
                self._cancelled(placed, now_ns)
            self._drain(now_ns)
        return receipt

    def halt(self, owner: str) -> None:
        """The kill switch: nothing more is sent for this owner; what rests goes on resting."""
        self._halted.add(owner)
        self.journal.account(owner)
        for entry in self._active.values():
            if entry.owner == owner:
                entry.run.pause()
                self.journal.graph(entry)

    def clear(self, owner: str) -> None:
        """Take back the kill switch; paused graphs go on when they are resumed."""
        self._halted.discard(owner)
        self.journal.account(owner)

    def resume(self, owner: str, graph_id: str, now_ns: int) -> GraphEntry | None:
        """Go on with a paused graph; None when the owner has none of that id."""
        entry = self._graphs.get((owner, graph_id))
        if entry is not None:
            self._check_halt(owner)
            if entry.run.is_paused:
                self.journal.graph(entry)
            self._start(entry, entry.run.resume(now_ns), now_ns)
        return entry

    def _adopt(self, entry: GraphEntry) -> None:
        name = entry.owner, entry.run.graph_id
        self._graphs[name] = self._active[name] = entry
        if entry.run.is_timed:
            self._timed[name] = entry

    def _check_halt(self, owner: str) -> None:
        if owner in self._halted:
            raise TradingHaltedError("the kill switch is engaged; clear it to trade again")

    def _send_due(self, entry: GraphEntry, now_ns: int) -> None:
        """Send slices one by one: a node of which others still wait must not look ended."""
        for one in [one for one in entry.waiting if one[0] <= now_ns]:
            if one in entry.waiting:
                entry.waiting.remove(one)
                self.journal.graph(entry)
                run = entry.run.nodes[one[1]]
                if run.state is NodeState.WORKING:
                    self._send(entry, run, one[2], now_ns)

    def _can_pay(self, placed: Placed, price_1e9: int | None, qty_1e8: int | None) -> bool:
        """Whether the owner could have the order as amended, in place of the one that rests."""
        order = placed.order
        price = order.price_1e9 if price_1e9 is None else price_1e9
        qty = order.qty_1e8 if qty_1e8 is None else qty_1e8
        amended = Order(order.order_id, order.owner, order.side, price, qty - order.filled_1e8)
        others = [
            (one.key, one.order)
            for one in self._live[placed.entry.owner].values()
            if one is not placed
        ]
        return refusal(amended, placed.key, self.ledger, self.books, others) is None

    def _start(self, entry: GraphEntry, names: list[str], now_ns: int) -> None:
        if names:
            self.journal.graph(entry)
        self._to_start.extend((entry, name) for name in names)
        self._drain(now_ns)

    def _drain(self, now_ns: int) -> None:
        """Start nodes until none is left: a fill may start the node of another graph."""
        while self._to_start:
            entry, name = self._to_start.popleft()
            run = entry.run.nodes[name]
            if run.state is NodeState.WORKING:
                self._begin(entry, run, now_ns)
            self._retire(entry)

    def _begin(self, entry: GraphEntry, run: NodeRun, now_ns: int) -> None:
        node = run.node
        key = routing.routes(node, self.catalogue, self.books)[0]
        lot = self.books.open(key).rules.lot_1e8
        run.qty_1e8 = snapped(node.qty_1e8, lot)
        parts = routing.slices(run.qty_1e8, lot, node.execution.slices)
        for at, part in enumerate(parts[1:], start=1):
            due = routing.due_ns(now_ns, node.execution.horizon_ms, len(parts), at)
            entry.waiting.append((due, node.node_id, part))
        self._send(entry, run, parts[0], now_ns)

    def _send(self, entry: GraphEntry, run: NodeRun, qty_1e8: int, now_ns: int) -> None:
        """Send one slice: a market order goes on to the next venue with what is left of it."""
        keys = routing.routes(run.node, self.catalogue, self.books)
        if run.node.limit_1e9 is not None:
            keys = keys[:1]
        for key in keys:
            placed = self._place(entry, run, qty_1e8, key, now_ns)
            qty_1e8 -= placed.order.filled_1e8
            if not qty_1e8 or placed.order.status is not Status.EXPIRED:
                break
        ended = _ENDS.get(placed.order.status, NodeState.EXPIRED)
        self._close(entry, run.node.node_id, ended, now_ns, placed.reason)

    def _place(
        self, entry: GraphEntry, run: NodeRun, qty_1e8: int, key: BookKey, now_ns: int
    ) -> Placed:
        node = run.node
        name = node_order_id(entry.run.graph_id, node.node_id, len(entry.sent) + 1)
        book = self.books.open(key)
        order = routing.child(node, book, f"{entry.owner}/{name}", entry.owner, qty_1e8)
        placed = Placed(entry, node, name, key, order, now_ns)
        is_first = all(one.node is not node for one in entry.sent)
        entry.sent.append(placed)
        self._placed[order.order_id] = placed
        self.journal.order(placed)
        live = self._live.setdefault(entry.owner, {})
        resting = ((one.key, one.order) for one in live.values())
        placed.reason = refusal(order, key, self.ledger, self.books, resting)
        if len(live) >= MAX_LIVE_ORDERS:
            placed.reason = f"{MAX_LIVE_ORDERS} orders are live already; cancel some first"
        if placed.reason is not None:
            order.status = Status.REJECTED
            return placed
        receipt = book.submit(order)
        placed.reason = receipt.rejection
        if receipt.rejection is None and is_first:
            self._note(entry, entry.run.accepted(node.node_id, now_ns))
        self._digest(placed, receipt, now_ns)
        return placed

    def _digest(self, placed: Placed, receipt: Receipt, now_ns: int) -> None:
        """Take in what a submission or amendment led to, for its owner and for others."""
        self.journal.order(placed)
        live = self._live.setdefault(placed.entry.owner, {})
        if placed.order.is_live:
            live[placed.name] = placed
        else:
            live.pop(placed.name, None)
        prints = [Print(now_ns, placed.key, trade) for trade in receipt.trades]
        self.journal.changes.prints += prints
        self._book(prints)
        for cut in filter(None, (self._placed.get(order.order_id) for order in receipt.cut)):
            self.journal.order(cut)
        for order in receipt.removed:
            self._gone(order, now_ns)

    def _book(self, prints: Iterable[Print]) -> None:
        """Every trade first, then what is over: matching has ended before the first is booked."""
        last_ns: dict[Order, int] = {}
        for ts_ns, key, trade in prints:
            self._fill(key, trade, ts_ns)
            last_ns[trade.maker] = last_ns[trade.taker] = ts_ns
        for order, ts_ns in last_ns.items():
            if not order.is_live:
                self._gone(order, ts_ns)

    def _fill(self, key: BookKey, trade: Trade, ts_ns: int) -> None:
        """One trade: the ledger, and the fill of each side that is one of ours."""
        rules = self.books[key].rules
        self.ledger.apply(key, trade, rules)
        for order, is_taker in trade.sides:
            self.journal.position(order.owner, key)
            placed = self._placed.get(order.order_id)
            if placed is None:
                continue
            fee = rules.fee_1e17(trade.price_1e9, trade.qty_1e8, is_taker=is_taker)
            price = turned(trade.price_1e9, placed.node.instrument)
            self.journal.fill(Fill(placed, price, trade.qty_1e8, fee, is_taker, ts_ns))
            run = placed.entry.run
            self._note(placed.entry, run.filled(placed.node.node_id, trade.qty_1e8, ts_ns))

    def _gone(self, order: Order, now_ns: int) -> None:
        placed = self._placed.get(order.order_id)
        if placed is not None:
            self.journal.order(placed)
            self._live[placed.entry.owner].pop(placed.name, None)
            if order.status is Status.CANCELLED:
                self._close(placed.entry, placed.node.node_id, NodeState.CANCELLED, now_ns)
            elif not order.open_1e8:
                self._close(placed.entry, placed.node.node_id, NodeState.EXPIRED, now_ns)

    def _cancelled(self, placed: Placed, now_ns: int) -> None:
        """An order was cancelled by its owner's doing: of its node nothing more is sent."""
        placed.entry.drop_waiting(placed.node.node_id)
        self._close(placed.entry, placed.node.node_id, NodeState.CANCELLED, now_ns)

    def _close(
        self,
        entry: GraphEntry,
        node_id: str,
        state: NodeState,
        now_ns: int,
        reason: str | None = None,
    ) -> None:
        """End a node of which nothing rests and nothing waits; a refusal ends it in any case."""
        if state is NodeState.REJECTED:
            entry.drop_waiting(node_id)
        if not entry.is_busy(node_id):
            self.journal.graph(entry)
            self._note(entry, entry.run.finished(node_id, state, now_ns, reason))
        self._retire(entry)

    def _note(self, entry: GraphEntry, names: list[str]) -> None:
        self._to_start.extend((entry, name) for name in names)

    def _cancel_in_book(self, placed: Placed) -> None:
        if placed.order.is_live:
            self.journal.order(placed)
            self.books[placed.key].cancel(placed.order.order_id)
        self._live.get(placed.entry.owner, {}).pop(placed.name, None)

    def _retire(self, entry: GraphEntry) -> None:
        if entry.run.status not in (GraphStatus.ACTIVE, GraphStatus.PAUSED):
            name = entry.owner, entry.run.graph_id
            self._active.pop(name, None)
            self._timed.pop(name, None)
