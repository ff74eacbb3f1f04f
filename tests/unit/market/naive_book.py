"""The same book as slowly and plainly as it can be written: one list, sorted for every match."""

from dataclasses import dataclass, field

from market.engine import SelfTrade


@dataclass
class Plain:
    """One order, with a sequence number for its place in time."""

    name: str
    owner: str
    is_buy: bool
    price: int | None
    qty: int
    tif: str
    policy: SelfTrade
    is_post_only: bool = False
    number: int = 0
    open: int = field(init=False)

    def __post_init__(self) -> None:
        self.open = self.qty


class NaiveBook:
    """Resting orders in one list; every answer is computed anew."""

    def __init__(self) -> None:
        self.resting: list[Plain] = []
        self.trades: list[tuple[int, int, str, str]] = []
        self.clock = 0

    def facing(self, order: Plain) -> list[Plain]:
        others = [one for one in self.resting if one.is_buy != order.is_buy]
        if order.price is not None:
            sign = 1 if order.is_buy else -1
            others = [one for one in others if (order.price - (one.price or 0)) * sign >= 0]
        sign = 1 if order.is_buy else -1
        return sorted(others, key=lambda one: (sign * (one.price or 0), one.number))

    def submit(self, order: Plain) -> bool:
        """False when refused."""
        if order.is_post_only and self.facing(order):
            return False
        if order.tif == "fok" and not self.all_of(order):
            return False
        self.enter(order)
        return True

    def enter(self, order: Plain) -> None:
        self.clock += 1
        order.number = self.clock
        is_cancelled = False
        while order.open and not is_cancelled and self.facing(order):
            is_cancelled = self.meet(order, self.facing(order)[0])
        if order.open and not is_cancelled and order.tif == "gtc" and order.price is not None:
            self.resting.append(order)

    def meet(self, taker: Plain, maker: Plain) -> bool:
        """One step; true when the incoming order is cancelled by it."""
        size = min(taker.open, maker.open)
        if taker.owner != maker.owner or taker.policy is SelfTrade.ALLOW:
            self.trades.append((maker.price or 0, size, maker.name, taker.name))
            taker.open -= size
            maker.open -= size
        elif taker.policy is SelfTrade.DECREMENT:
            for one in (taker, maker):
                one.open -= size
                one.qty -= size
        else:
            if taker.policy is not SelfTrade.CANCEL_NEWEST:
                self.resting.remove(maker)
            return taker.policy is not SelfTrade.CANCEL_OLDEST
        if not maker.open:
            self.resting.remove(maker)
        return False

    def all_of(self, order: Plain) -> bool:
        """Whether a copy of this book would trade the whole order."""
        left = order.open
        for one in self.facing(order):
            is_own = one.owner == order.owner and order.policy is not SelfTrade.ALLOW
            if is_own and order.policy is SelfTrade.CANCEL_OLDEST:
                continue
            if is_own:
                break
            left -= min(left, one.open)
        return left == 0

    def cancel(self, name: str) -> bool:
        found = [one for one in self.resting if one.name == name]
        self.resting = [one for one in self.resting if one.name != name]
        return bool(found)

    def amend(self, name: str, price: int, qty: int) -> bool:
        """False when there is nothing to amend, or the change is refused."""
        found = [one for one in self.resting if one.name == name]
        if not found or qty <= found[0].qty - found[0].open:
            return False
        order = found[0]
        probe = Plain("", "", order.is_buy, price, 1, "gtc", SelfTrade.ALLOW)
        if order.is_post_only and self.facing(probe):
            return False
        keeps_place = price == order.price and qty <= order.qty
        order.open -= order.qty - qty
        order.price, order.qty = price, qty
        if not keeps_place:
            self.resting.remove(order)
            self.enter(order)
        return True

    def queue(self, is_buy: bool) -> list[tuple[int, str, int]]:
        """The side as it would trade: price, name, open quantity."""
        side = [one for one in self.resting if one.is_buy == is_buy]
        sign = -1 if is_buy else 1
        side.sort(key=lambda one: (sign * (one.price or 0), one.number))
        return [(one.price or 0, one.name, one.open) for one in side]
