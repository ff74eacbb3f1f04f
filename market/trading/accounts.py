"""What is done to a whole account: beginning anew, and the payout of a market that resolved."""

from typing import Any

from market.engine import Account, BookKey
from market.errors import MarketUnknownError
from market.fixed_point import MONEY_SCALE, ONE_DOLLAR_1E9
from market.symbols.models import KALSHI, POLYMARKET, Outcome
from market.trading.desk import Desk


def reset(desk: Desk, owner: str, cash_usd: int, now_ns: int) -> int:
    """Cancel everything, drop every position, set the cash; how many orders were cancelled."""
    count = len(desk.resting(owner))
    for graph_id in desk.active_graphs(owner):
        desk.cancel_graph(owner, graph_id, now_ns)
    for key in desk.ledger.account(owner).qty_1e8:
        desk.journal.position(owner, key)
    desk.ledger.accounts[owner] = Account(cash_usd * MONEY_SCALE)
    desk.clear(owner)
    return count


def settle(desk: Desk, owner: str, slug: str, venue: str, now_ns: int) -> dict[str, Any]:
    """Pay out what an owner holds of a resolved market, in the words of the client's `redeem`.

    Raises MarketUnknownError for a market that is not listed on that venue.
    """
    key = BookKey(venue, slug)
    listing = desk.catalogue.listing(key) if venue in (KALSHI, POLYMARKET) else None
    if listing is None:
        raise MarketUnknownError(slug, f"{venue} lists no such market; /v1/markets has them all")
    account = desk.ledger.account(owner)
    held = account.qty_1e8.get(key, 0)
    answer: dict[str, Any] = {
        "mode": "noop",
        "venue": venue,
        "slug": slug,
        "condition_id": listing.event_id if venue == POLYMARKET else None,
        "token_ids": [listing.yes_token_id, listing.no_token_id] if venue == POLYMARKET else None,
        "note": "the market has not resolved; what you hold can be sold",
    }
    if listing.resolved is None:
        return answer
    for placed in desk.resting(owner):
        if placed.key == key:
            desk.cancel_order(owner, placed.name, now_ns)
    # Less than none is that many NO, whose dollar the cash still holds.
    paid = held * ONE_DOLLAR_1E9 if listing.resolved is Outcome.YES else 0
    account.cash_1e17 += paid
    account.qty_1e8[key] = account.cost_1e17[key] = 0
    desk.journal.position(owner, key)
    mode = "auto_settled" if venue == KALSHI else "relayer_submitted"
    note = f"resolved {listing.resolved.value}; paid into the paper account"
    return {**answer, "mode": mode, "note": note}
