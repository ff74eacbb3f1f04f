"""Whether an owner can pay for an order: nobody spends or sells what they do not have."""

from collections.abc import Iterable

from market.engine import Account, BookKey, Ledger, Order, OrderBook, Side, VenueBooks
from market.fixed_point import ONE_DOLLAR_1E9, money_float, qty_float
from market.symbols.models import PREDICTION_VENUES

PREDICTIONS = frozenset(PREDICTION_VENUES)


def refusal(
    order: Order,
    key: BookKey,
    ledger: Ledger,
    books: VenueBooks,
    live: Iterable[tuple[BookKey, Order]],
) -> str | None:
    """Why the owner cannot have this order, or None; `live` are the owner's resting orders."""
    resting = list(live)
    held = ledger.account(order.owner).qty_1e8.get(key, 0)
    same_side = sum(one.open_1e8 for at, one in resting if at == key and one.side is order.side)
    is_prediction = key.venue in PREDICTIONS
    if not is_prediction and order.side is Side.SELL:
        free = held - same_side
        if order.open_1e8 <= free:
            return None
        return f"holds {qty_float(max(free, 0))} to sell on {key.venue}; buy it there first"
    # Only what opens a position has to be paid: closing one gives more back than its fee.
    closing = max(_closable(held, order.side) - same_side, 0)
    opening = max(order.open_1e8 - closing, 0)
    need = _cost(order, opening, books.open(key), is_prediction=is_prediction)
    bound = _bound(resting, ledger.account(order.owner), books)
    free_cash = ledger.free_cash_1e17(order.owner, PREDICTIONS) - bound
    if not need or need <= free_cash:
        return None
    return (
        f"needs {money_float(need):.2f} dollars and {max(money_float(free_cash), 0):.2f} are "
        "free; order less, or cancel what rests"
    )


def _cost(order: Order, qty_1e8: int, book: OrderBook, *, is_prediction: bool) -> int:
    """What `qty_1e8` of an order costs at most, with its fee; at market what the book asks."""
    price = order.price_1e9 or _reached_price(order, book)
    if price is None:
        return 0
    fee = book.rules.fee_1e17(price, qty_1e8, is_taker=True)
    is_sale = is_prediction and order.side is Side.SELL
    return (ONE_DOLLAR_1E9 - price if is_sale else price) * qty_1e8 + fee


def _reached_price(order: Order, book: OrderBook) -> int | None:
    """The worst price at which a market order would trade, None on an empty side."""
    ladder = book.asks if order.side is Side.BUY else book.bids
    price, found = None, 0
    for level in ladder.walk():
        # Its owner's own orders do not trade with it: it may go on behind them.
        own = sum(one.open_1e8 for one in level.orders.values() if one.owner == order.owner)
        price, found = level.price_1e9, found + level.qty_1e8 - own
        if found >= order.open_1e8:
            break
    return price


def _closable(held_1e8: int, side: Side) -> int:
    """How much of a position an order of that side could close: YES is sold, NO bought back."""
    return max(-held_1e8 if side is Side.BUY else held_1e8, 0)


def _bound(resting: Iterable[tuple[BookKey, Order]], account: Account, books: VenueBooks) -> int:
    """What resting orders bind; a position is promised once, to the oldest that close it."""
    left: dict[tuple[BookKey, Side], int] = {}
    bound = 0
    for key, order in resting:
        at = key, order.side
        free = left.setdefault(at, _closable(account.qty_1e8.get(key, 0), order.side))
        closing = min(free, order.open_1e8)
        left[at] -= closing
        bound += _resting_cost(key, order, order.open_1e8 - closing, books)
    return bound


def _resting_cost(key: BookKey, order: Order, qty_1e8: int, books: VenueBooks) -> int:
    """What `qty_1e8` of a resting order binds, with the fee of the maker that it will be."""
    price = order.price_1e9 or 0
    fee = books.open(key).rules.fee_1e17(price, qty_1e8, is_taker=False)
    if order.side is Side.BUY:
        return price * qty_1e8 + fee
    return (ONE_DOLLAR_1E9 - price) * qty_1e8 + fee if key.venue in PREDICTIONS else 0
