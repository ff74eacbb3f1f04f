"""Price-time priority matching in integers, the rules of each venue, and who owes whom."""

from market.engine.book import OrderBook
from market.engine.ledger import Account, Ledger
from market.engine.orders import (
    Order,
    Receipt,
    Rejection,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
    Trade,
)
from market.engine.rules import VenueRules, rules_for
from market.engine.venue_books import BookKey, VenueBooks

__all__ = [
    "Account",
    "BookKey",
    "Ledger",
    "Order",
    "OrderBook",
    "Receipt",
    "Rejection",
    "SelfTrade",
    "Side",
    "Status",
    "TimeInForce",
    "Trade",
    "VenueBooks",
    "VenueRules",
    "rules_for",
]
