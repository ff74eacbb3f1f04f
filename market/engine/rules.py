"""What each venue takes and charges, as documented; a venue's rules are data, not branches."""

from dataclasses import dataclass

from market.engine.orders import Order, Rejection, TimeInForce
from market.fixed_point import MONEY_SCALE, ONE_DOLLAR_1E9, QTY_SCALE
from market.symbols.models import KALSHI, POLYMARKET

BPS = 10_000
MAX_SPOT_PRICE_1E9 = 10_000_000 * ONE_DOLLAR_1E9
CENT_1E9 = ONE_DOLLAR_1E9 // 100


@dataclass(frozen=True, slots=True)
class VenueRules:
    """The rules of one book.

    Prices lie in `min_price_1e9`..`max_price_1e9` on multiples of `tick_1e9`, quantities on
    multiples of `lot_1e8`. A resting order of less than `min_notional_1e17` is accepted and never
    matched. Spot fees are bps of the notional; prediction fees are `rate * qty * p * (1 - p)`
    for the taker alone, and `taker_bps` is that rate.
    """

    venue: str
    tick_1e9: int
    lot_1e8: int
    min_price_1e9: int
    max_price_1e9: int
    min_notional_1e17: int = 0
    maker_bps: int = 0
    taker_bps: int = 0
    is_prediction: bool = False

    def refusal(self, order: Order) -> Rejection | None:
        """Why this order cannot be taken, or None."""
        price = order.price_1e9
        if price is None:
            if order.tif is not TimeInForce.IOC and order.tif is not TimeInForce.FOK:
                return Rejection.MARKET_ORDER_CANNOT_REST
        elif refused := self.price_refusal(price):
            return refused
        if order.tif is TimeInForce.GTD and order.expires_ns is None:
            return Rejection.NO_EXPIRY
        return self.qty_refusal(order.qty_1e8)

    def price_refusal(self, price_1e9: int) -> Rejection | None:
        """Why this limit cannot be taken, or None."""
        if not self.min_price_1e9 <= price_1e9 <= self.max_price_1e9:
            return Rejection.PRICE_OUT_OF_RANGE
        return Rejection.OFF_TICK if price_1e9 % self.tick_1e9 else None

    def qty_refusal(self, qty_1e8: int) -> Rejection | None:
        """Why this quantity cannot be taken, or None."""
        if qty_1e8 <= 0:
            return Rejection.QTY_NOT_POSITIVE
        return Rejection.OFF_LOT if qty_1e8 % self.lot_1e8 else None

    def is_too_small(self, order: Order, price_1e9: int, qty_1e8: int) -> bool:
        """Whether the venue's matching would pass over an order of that price and quantity."""
        own_price = ONE_DOLLAR_1E9 - price_1e9 if order.is_for_no else price_1e9
        return own_price * qty_1e8 < self.min_notional_1e17

    def fee_1e17(self, price_1e9: int, qty_1e8: int, *, is_taker: bool) -> int:
        """The fee of one fill, rounded up: a venue does not round in its client's favour."""
        bps = self.taker_bps if is_taker else self.maker_bps
        charged = price_1e9 * qty_1e8 * bps
        if not self.is_prediction:
            return -(-charged // BPS)
        return -(-charged * (ONE_DOLLAR_1E9 - price_1e9) // (BPS * ONE_DOLLAR_1E9))

    def shown_bps(self, *, is_taker: bool) -> int:
        """The fee as `/v1/fees` shows it: for a prediction market that of a price of 0.5."""
        bps = self.taker_bps if is_taker else self.maker_bps
        return bps // 2 if self.is_prediction else bps


def _prediction(venue: str, tick_1e9: int, lot_1e8: int, least: int, rate_bps: int) -> VenueRules:
    return VenueRules(
        venue=venue,
        tick_1e9=tick_1e9,
        lot_1e8=lot_1e8,
        min_price_1e9=tick_1e9,
        max_price_1e9=ONE_DOLLAR_1E9 - tick_1e9,
        min_notional_1e17=least,
        taker_bps=rate_bps,
        is_prediction=True,
    )


PREDICTION_RULES = {
    KALSHI: _prediction(KALSHI, CENT_1E9, QTY_SCALE, 0, 700),
    POLYMARKET: _prediction(POLYMARKET, CENT_1E9 // 10, QTY_SCALE // 100, MONEY_SCALE, 300),
}
# Maker and taker bps of the lowest tier, as the exchanges publish them.
SPOT_FEES_BPS = {"coinbase": (40, 60), "binance": (10, 10), "kraken": (25, 40)}
# Coins of a few dollars and less are quoted finer than a cent.
FINE_TICKS_1E9 = {"XRP": 100_000, "ADA": 100_000, "DOGE": 10_000}


def rules_for(venue: str, market: str) -> VenueRules:
    """The rules of a book. Raises KeyError for a venue that is none of ours."""
    if venue in PREDICTION_RULES:
        return PREDICTION_RULES[venue]
    maker_bps, taker_bps = SPOT_FEES_BPS[venue]
    tick_1e9 = FINE_TICKS_1E9.get(market.partition("-")[0], CENT_1E9)
    return VenueRules(
        venue=venue,
        tick_1e9=tick_1e9,
        lot_1e8=1,
        min_price_1e9=tick_1e9,
        max_price_1e9=MAX_SPOT_PRICE_1E9,
        maker_bps=maker_bps,
        taker_bps=taker_bps,
    )
