"""From the text of a symbol to its form: no catalogue needed, nothing looked up."""

import re

from market.errors import SymbolInvalidError
from market.symbols.models import KALSHI, POLYMARKET, Form, Outcome, Symbol
from market.symbols.urls import parse_url

FORMS = (
    "use a pair (BTC-USD), a Kalshi ticker (KXBTCD-26APR30-T62500, with :YES or :NO), a "
    "Polymarket slug (with :yes or :no), a token id of 60 or more digits, or an event's URL"
)
QUOTE_CURRENCIES = ("USD", "USDC", "USDT", "EUR", "GBP", "BTC", "ETH")
MAX_CHARS = 400
MIN_TOKEN_DIGITS = 60
MAX_TOKEN_DIGITS = 78  # 2**256 - 1

_PAIR = re.compile(rf"([A-Z0-9]{{1,12}})[-/]({'|'.join(QUOTE_CURRENCIES)})", re.ASCII)
_PERPETUAL = re.compile(r"[A-Z0-9]{1,12}-(PERP|SWAP)", re.ASCII)
_TICKER = re.compile(r"(KX|INX|NASDAQ100)[A-Z0-9.]*(-[A-Z0-9.]+)*", re.ASCII)
_SLUG = re.compile(r"[a-z0-9]+(-+[a-z0-9]+)*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


def parse_symbol(text: str) -> Symbol:
    """Say which form a symbol has, and its canonical name.

    Kalshi tickers are upper-cased and pairs written with a dash; a ticker or slug without an
    outcome means YES. Raises SymbolInvalidError, with what to write instead.
    """
    stripped = text.strip()
    if not stripped:
        raise SymbolInvalidError(text, f"the symbol is empty; {FORMS}")
    if len(stripped) > MAX_CHARS:
        raise SymbolInvalidError(text, f"longer than {MAX_CHARS} characters; {FORMS}")
    if "://" in stripped:
        return parse_url(stripped)
    name, outcome = _split_outcome(stripped)
    symbol = _named(name, outcome)
    if symbol is None:
        raise SymbolInvalidError(text, f"no known form of symbol; {FORMS}")
    return symbol


def _split_outcome(text: str) -> tuple[str, Outcome | None]:
    name, colon, suffix = text.rpartition(":")
    if not colon:
        return text, None
    if suffix.lower() not in ("yes", "no"):
        raise SymbolInvalidError(text, f"{suffix!r} is no outcome; end it in :YES or :NO")
    return name, Outcome(suffix.lower())


def _named(name: str, outcome: Outcome | None) -> Symbol | None:
    if _DIGITS.fullmatch(name):
        return _token(name, outcome)
    upper = name.upper()
    if _PERPETUAL.fullmatch(upper):
        raise SymbolInvalidError(
            name, "perpetuals are not traded here; take the spot pair, such as BTC-USD"
        )
    # A ticker first: KXBTC-USD reads as a pair too, and no coin is called KX....
    if _TICKER.fullmatch(upper) and not name.islower():
        return Symbol(Form.TICKER, upper, KALSHI, outcome or Outcome.YES)
    if pair := _PAIR.fullmatch(upper):
        if outcome is not None:
            raise SymbolInvalidError(name, "a pair has no outcome; leave out :YES or :NO")
        return Symbol(Form.PAIR, f"{pair[1]}-{pair[2]}")
    if _TICKER.fullmatch(upper) and upper.startswith("KX"):
        return Symbol(Form.TICKER, upper, KALSHI, outcome or Outcome.YES)
    if _SLUG.fullmatch(name):
        return Symbol(Form.SLUG, name, POLYMARKET, outcome or Outcome.YES)
    return None


def _token(name: str, outcome: Outcome | None) -> Symbol:
    if not MIN_TOKEN_DIGITS <= len(name) <= MAX_TOKEN_DIGITS:
        raise SymbolInvalidError(
            name,
            f"a token id has {MIN_TOKEN_DIGITS} to {MAX_TOKEN_DIGITS} digits, this has "
            f"{len(name)}; copy yes_token_id or no_token_id from /v1/markets",
        )
    if outcome is not None:
        raise SymbolInvalidError(
            name, "a token id is of one outcome already; leave out the suffix, or give the slug"
        )
    return Symbol(Form.TOKEN, name, POLYMARKET)
