"""Addresses of events, as copied from a venue's site."""

import re
from urllib.parse import urlsplit

from market.errors import SymbolInvalidError
from market.symbols.models import KALSHI, POLYMARKET, Form, Outcome, Symbol

_HOSTS = {
    "kalshi.com": KALSHI,
    "polymarket.com": POLYMARKET,
}
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*", re.ASCII)
EXAMPLES = "https://polymarket.com/event/SLUG or https://kalshi.com/markets/SERIES/TITLE/TICKER"


def parse_url(text: str) -> Symbol:
    """The event that an address names, or the market inside it, meaning YES.

    Raises SymbolInvalidError for another site or an address that names no event.
    """
    try:
        address = urlsplit(text)
    except ValueError as error:
        raise SymbolInvalidError(text, f"no address ({error}); use {EXAMPLES}") from None
    venue = _HOSTS.get((address.hostname or "").removeprefix("www."))
    if venue is None or address.scheme not in ("http", "https"):
        raise SymbolInvalidError(text, f"no address of a venue; use {EXAMPLES}")
    segments = [part for part in address.path.split("/") if part]
    if not all(_SEGMENT.fullmatch(part) for part in segments):
        raise SymbolInvalidError(text, f"the path cannot be read; use {EXAMPLES}")
    return _kalshi(text, segments) if venue == KALSHI else _polymarket(text, segments)


def _kalshi(text: str, segments: list[str]) -> Symbol:
    if len(segments) < 2 or segments[0] not in ("markets", "events"):
        raise SymbolInvalidError(text, f"names no event; use {EXAMPLES}")
    return Symbol(Form.EVENT, segments[-1].upper(), KALSHI, Outcome.YES)


def _polymarket(text: str, segments: list[str]) -> Symbol:
    if len(segments) not in (2, 3) or segments[0] not in ("event", "market"):
        raise SymbolInvalidError(text, f"names no event; use {EXAMPLES}")
    names_market = len(segments) == 3 or segments[0] == "market"
    form = Form.SLUG if names_market else Form.EVENT
    return Symbol(form, segments[-1].lower(), POLYMARKET, Outcome.YES)
