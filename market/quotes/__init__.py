"""The documented JSON, made from books and catalogue by pure functions."""

from market.quotes.discovery import MarketQuery, markets_page
from market.quotes.history import HistoryQuery, Tick, price_history
from market.quotes.levels import BookImage, image_of
from market.quotes.quote import VenueBook, book_frame, price_frame, quote
from market.quotes.rows import market_row, settlement
from market.quotes.venues import edges, fees, symbols

__all__ = [
    "BookImage",
    "HistoryQuery",
    "MarketQuery",
    "Tick",
    "VenueBook",
    "book_frame",
    "edges",
    "fees",
    "image_of",
    "market_row",
    "markets_page",
    "price_frame",
    "price_history",
    "quote",
    "settlement",
    "symbols",
]
