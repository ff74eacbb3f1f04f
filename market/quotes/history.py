"""The price history that is made from the tape of trades."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from market.errors import QueryInvalidError
from market.fixed_point import ONE_DOLLAR_1E9
from market.symbols import Instrument

NS = 1_000_000_000
DAY_S = 86_400
RANGES_S = {
    "1h": 3_600,
    "6h": 6 * 3_600,
    "1d": DAY_S,
    "1w": 7 * DAY_S,
    "1m": 30 * DAY_S,
    "3m": 91 * DAY_S,
    "6m": 182 * DAY_S,
    "1y": 365 * DAY_S,
    "2y": 730 * DAY_S,
    "5y": 1_826 * DAY_S,
    "max": 36_500 * DAY_S,
}
DEFAULT_TICKS = 100


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The parameters of `/v1/price_history`: `fidelity_s` 0 asks for single trades.

    With both `start_s` and `end_s` (Unix seconds) the range is ignored, as documented.
    """

    range: str = "1d"
    fidelity_s: int = 60
    start_s: int | None = None
    end_s: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A trade as the tape keeps it: in prices of the book, `side` that of the taker."""

    ts_ns: int
    venue: str
    price_1e9: int
    qty_1e8: int
    side: str


def price_history(
    symbol: str, instrument: Instrument, ticks: Iterable[Tick], query: HistoryQuery, now_s: int
) -> dict[str, Any]:
    """`{symbol, range, fidelity_secs, count, points}`: bars by their last price, or single trades.

    A bar is `{ts_ns, price_1e9}` at its beginning; a trade also has `qty_1e8, side, venue_id`.
    Raises QueryInvalidError for an unknown range or a negative fidelity.
    """
    start_s, end_s = _window(query, now_s)
    within = [one for one in ticks if start_s * NS <= one.ts_ns <= end_s * NS]
    if query.fidelity_s == 0:
        limit = DEFAULT_TICKS if query.limit is None else max(query.limit, 1)
        points = [_tick_point(one, instrument) for one in within[-limit:]]
    else:
        points = _bars(within, query.fidelity_s * NS, instrument)
    return {
        "symbol": symbol,
        "range": query.range,
        "fidelity_secs": query.fidelity_s,
        "count": len(points),
        "points": points,
    }


def _window(query: HistoryQuery, now_s: int) -> tuple[int, int]:
    if query.fidelity_s < 0:
        raise QueryInvalidError("fidelity_secs", "give seconds, or 0 for single trades")
    if query.start_s is not None and query.end_s is not None:
        return query.start_s, query.end_s
    if query.range not in RANGES_S:
        raise QueryInvalidError("range", f"take one of {', '.join(RANGES_S)}")
    # Single trades know no range: the newest ones are asked for.
    length_s = RANGES_S["max" if query.fidelity_s == 0 else query.range]
    return now_s - length_s, now_s + 1


def _bars(ticks: Iterable[Tick], width_ns: int, instrument: Instrument) -> list[dict[str, Any]]:
    last: dict[int, int] = {}
    for tick in ticks:
        last[tick.ts_ns // width_ns * width_ns] = tick.price_1e9
    return [
        {"ts_ns": ts_ns, "price_1e9": _price(price, instrument)} for ts_ns, price in last.items()
    ]


def _tick_point(tick: Tick, instrument: Instrument) -> dict[str, Any]:
    side = tick.side
    if instrument.is_mirrored:
        side = "sell" if side == "buy" else "buy"
    return {
        "ts_ns": tick.ts_ns,
        "price_1e9": _price(tick.price_1e9, instrument),
        "qty_1e8": tick.qty_1e8,
        "side": side,
        "venue_id": tick.venue,
    }


def _price(price_1e9: int, instrument: Instrument) -> int:
    return ONE_DOLLAR_1E9 - price_1e9 if instrument.is_mirrored else price_1e9
