"""Who owes whom: every trade moves money and quantity between accounts, and makes none."""

from dataclasses import dataclass, field

from market.engine.orders import Order, Trade
from market.engine.rules import VenueRules
from market.engine.venue_books import BookKey
from market.fixed_point import ONE_DOLLAR_1E9


@dataclass(slots=True)
class Account:
    """What one owner has.

    `cash_1e17` is exact money; `qty_1e8` the position in each book, in YES of a prediction
    market: below zero it is that many NO, each of which binds a dollar of `cash_1e17`.
    """

    cash_1e17: int = 0
    fees_1e17: int = 0
    qty_1e8: dict[BookKey, int] = field(default_factory=dict)
    cost_1e17: dict[BookKey, int] = field(default_factory=dict)


class Ledger:
    """The accounts of all owners. The sum of all cash and all fees never changes by a trade."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, owner: str) -> Account:
        """The account of an owner, empty when it is new."""
        return self.accounts.setdefault(owner, Account())

    def deposit(self, owner: str, amount_1e17: int) -> None:
        """Put money in from outside: the one way by which the sum grows."""
        self.account(owner).cash_1e17 += amount_1e17

    def apply(self, key: BookKey, trade: Trade, rules: VenueRules) -> None:
        """Book one trade: money to the seller, quantity to the buyer, fees from both."""
        self._move(key, trade.buyer, trade.qty_1e8, -trade.notional_1e17)
        self._move(key, trade.seller, -trade.qty_1e8, trade.notional_1e17)
        for order, is_taker in trade.sides:
            account = self.account(order.owner)
            fee_1e17 = rules.fee_1e17(trade.price_1e9, trade.qty_1e8, is_taker=is_taker)
            account.cash_1e17 -= fee_1e17
            account.fees_1e17 += fee_1e17

    def free_cash_1e17(self, owner: str, predictions: frozenset[str]) -> int:
        """The cash that no NO position binds; `predictions` are the venues that have them."""
        account = self.account(owner)
        bound = sum(
            -qty * ONE_DOLLAR_1E9
            for key, qty in account.qty_1e8.items()
            if qty < 0 and key.venue in predictions
        )
        return account.cash_1e17 - bound

    def _move(self, key: BookKey, order: Order, qty_1e8: int, cash_1e17: int) -> None:
        account = self.account(order.owner)
        account.cash_1e17 += cash_1e17
        held = account.qty_1e8.get(key, 0)
        cost = account.cost_1e17.get(key, 0)
        account.qty_1e8[key] = held + qty_1e8
        account.cost_1e17[key] = _cost_after(held, cost, qty_1e8, -cash_1e17)


def _cost_after(held_1e8: int, cost_1e17: int, qty_1e8: int, paid_1e17: int) -> int:
    """What the position cost, at average prices; signed as the position is."""
    after = held_1e8 + qty_1e8
    if held_1e8 == 0 or (held_1e8 > 0) == (qty_1e8 > 0):
        return cost_1e17 + paid_1e17
    if after == 0:
        return 0
    if (after > 0) == (held_1e8 > 0):
        return cost_1e17 * after // held_1e8
    return paid_1e17 * after // qty_1e8
