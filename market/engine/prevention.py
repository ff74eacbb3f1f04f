"""Nobody trades with themselves: what happens to the two orders instead."""

from market.engine.ladder import Level
from market.engine.orders import Order, SelfTrade, Status


def prevent(taker: Order, maker: Order, level: Level) -> None:
    """Apply the taker's policy to two orders of one owner that would trade.

    Marks what has to go as cancelled; the book takes a cancelled maker off.
    """
    policy = taker.self_trade
    if policy is SelfTrade.DECREMENT:
        _decrement(taker, maker, level)
        return
    if policy in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
        maker.status = Status.CANCELLED
    if policy in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
        taker.status = Status.CANCELLED


def _decrement(taker: Order, maker: Order, level: Level) -> None:
    cut_1e8 = min(taker.open_1e8, maker.open_1e8)
    for order in (taker, maker):
        order.qty_1e8 -= cut_1e8
        order.open_1e8 -= cut_1e8
        if not order.open_1e8:
            order.status = Status.CANCELLED
    level.qty_1e8 -= cut_1e8
