"""What does not depend on prices: fees, the venues that are connected, the symbols."""

from collections.abc import Sequence
from typing import Any

from market.catalogue import Catalogue
from market.engine import rules_for
from market.fixed_point import price_float, qty_float
from market.symbols import Instrument
from market.symbols.models import PREDICTION_VENUES, VENUES


def fees(
    ticker: str, instrument: Instrument, catalogue: Catalogue, venues: Sequence[str] = ()
) -> dict[str, Any]:
    """`{ticker, fees: [{venue, maker_bps, taker_bps}]}`; null where a venue does not trade it.

    A prediction market's fee depends on the price; shown is that of a price of 0.5.
    """
    if instrument.venue is not None:
        trading = [instrument.venue]
    else:
        trading = catalogue.exchanges_of(instrument.market)
    rows = []
    for venue in venues or trading:
        rules = rules_for(venue, instrument.market) if venue in trading else None
        rows.append(
            {
                "venue": venue,
                "maker_bps": rules.shown_bps(is_taker=False) if rules else None,
                "taker_bps": rules.shown_bps(is_taker=True) if rules else None,
            }
        )
    return {"ticker": ticker, "fees": rows}


def edges(catalogue: Catalogue) -> dict[str, Any]:
    """`{edges: [{venue, status, type, instruments}]}`: every venue of this market."""
    keys = [*catalogue.pairs, *(listing.key for listing in catalogue.listings)]
    return {
        "edges": [
            {
                "venue": venue,
                "status": "connected",
                "type": "prediction" if venue in PREDICTION_VENUES else "spot",
                "instruments": sum(key.venue == venue for key in keys),
            }
            for venue in VENUES
        ]
    }


def symbols(catalogue: Catalogue) -> list[dict[str, Any]]:
    """`[{symbol, type, venues, tick, lot}]`: each pair once, then the prediction markets."""
    pairs = dict.fromkeys(pair.market for pair in catalogue.pairs)
    rows = [_row(pair, "spot", catalogue.exchanges_of(pair), pair) for pair in pairs]
    rows += (
        _row(one.yes_token_id, "prediction", [one.venue], one.slug) for one in catalogue.listings
    )
    return rows


def _row(symbol: str, kind: str, venues: list[str], market: str) -> dict[str, Any]:
    rules = rules_for(venues[0], market)
    return {
        "symbol": symbol,
        "type": kind,
        "venues": venues,
        "tick": price_float(rules.tick_1e9),
        "lot": qty_float(rules.lot_1e8),
    }
