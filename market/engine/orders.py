"""What goes into a book and what comes out: orders, trades, and the answer to a submission."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Side(StrEnum):
    """The words of `side` on the wire."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        """The side that this one trades with."""
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(StrEnum):
    """How long what does not trade at once stays."""

    GTC = "gtc"  # until it is cancelled
    GTD = "gtd"  # until `expires_ns`
    IOC = "ioc"  # not at all: the rest expires
    FOK = "fok"  # all of it at once, or nothing


class SelfTrade(StrEnum):
    """What happens instead of a trade of an owner with itself; the incoming order's word counts."""

    CANCEL_NEWEST = "cancel_newest"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_BOTH = "cancel_both"
    DECREMENT = "decrement"  # both shrink by the smaller one
    ALLOW = "allow"  # sources of prices, whose orders stand for many people


class Status(StrEnum):
    """Where an order is in its life."""

    OPEN = "open"
    DORMANT = "dormant"  # accepted and never matched: under the venue's least notional
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Rejection(StrEnum):
    """Why an order was not taken; the value is what its owner reads."""

    QTY_NOT_POSITIVE = "the quantity has to be above zero"
    OFF_LOT = "the quantity is no multiple of the venue's lot; round it down to one"
    OFF_TICK = "the price is no multiple of the venue's tick; round it to one"
    PRICE_OUT_OF_RANGE = "the price is outside what the venue takes"
    MARKET_ORDER_CANNOT_REST = "a market order takes ioc or fok; give a limit price to rest"
    NO_EXPIRY = "gtd needs the time at which the order expires"
    DUPLICATE_ID = "an order of this id is live already; take a new id"
    WOULD_CROSS = "post-only, and it would trade at once; move the price away from the spread"
    CANNOT_FILL = "fok, and the book does not hold that quantity at that price"
    CANNOT_PAY = "the free cash or holding does not cover the change; cancel something that rests"
    BELOW_FILLED = "the new quantity is not above what has filled already; cancel instead"


@dataclass(slots=True, eq=False)
class Order:
    """One order. The book that took it changes `open_1e8` and `status`; others only read.

    `price_1e9` is the limit, None for a market order. `qty_1e8` is the whole quantity and
    `open_1e8` the part that has not traded, also after a cancel. `is_for_no` marks an order for
    NO in a book of YES: what it is worth counts in prices of NO. `is_put_back` marks one that
    rested in an earlier book and enters this one: it pays as the maker that it was.
    """

    order_id: str
    owner: str
    side: Side
    price_1e9: int | None
    qty_1e8: int
    tif: TimeInForce = TimeInForce.GTC
    is_post_only: bool = False
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    expires_ns: int | None = None
    is_for_no: bool = False
    is_put_back: bool = False
    status: Status = Status.OPEN
    open_1e8: int = field(init=False)

    def __post_init__(self) -> None:
        self.open_1e8 = self.qty_1e8

    @property
    def filled_1e8(self) -> int:
        """How much has traded."""
        return self.qty_1e8 - self.open_1e8

    @property
    def is_live(self) -> bool:
        """Whether it may still trade, be amended or be cancelled."""
        return self.status is Status.OPEN or self.status is Status.DORMANT


class Trade(NamedTuple):
    """A match, at the price of the order that was there first."""

    price_1e9: int
    qty_1e8: int
    maker: Order
    taker: Order

    @property
    def buyer(self) -> Order:
        """The order that received the quantity."""
        return self.maker if self.maker.side is Side.BUY else self.taker

    @property
    def seller(self) -> Order:
        """The order that received the money."""
        return self.taker if self.maker.side is Side.BUY else self.maker

    @property
    def sides(self) -> tuple[tuple[Order, bool], tuple[Order, bool]]:
        """Both orders, and whether each pays the fee of a taker."""
        return (self.maker, False), (self.taker, not self.taker.is_put_back)

    @property
    def notional_1e17(self) -> int:
        """The money that changed hands, exact."""
        return self.price_1e9 * self.qty_1e8


@dataclass(slots=True, eq=False)
class Receipt:
    """What became of one submission or amendment.

    `removed` are resting orders that self-trade prevention took off the book, `cut` those that it
    left there with less.
    """

    order: Order
    rejection: Rejection | None
    trades: list[Trade]
    removed: list[Order]
    cut: list[Order] = field(default_factory=list)
