"""From a symbol to the one instrument that it names, with the catalogue's help."""

from market.errors import MarketUnknownError, SymbolInvalidError
from market.symbols.models import EXCHANGES, Directory, Form, Instrument, Kind, Outcome, Symbol
from market.symbols.parse import parse_symbol

MAX_NAMED = 5


def resolve(text: str, directory: Directory, venue: str | None = None) -> Instrument:
    """The instrument behind a symbol.

    `venue` is what the caller asked for beside it: an exchange narrows a pair, and a prediction
    market has to be on the venue it names. Raises SymbolInvalidError for a text of no form or
    a venue that does not fit, MarketUnknownError for a name that is not listed.
    """
    symbol = parse_symbol(text)
    if symbol.form is Form.PAIR:
        return _pair(text, symbol, directory, venue)
    if venue is not None and venue != symbol.venue:
        raise SymbolInvalidError(
            text, f"is traded on {symbol.venue}, not on {venue}; leave the venue out or set that"
        )
    if symbol.form is Form.TOKEN:
        return _token(text, symbol, directory)
    return _prediction(text, symbol, directory)


def _pair(text: str, symbol: Symbol, directory: Directory, venue: str | None) -> Instrument:
    if venue is not None and venue not in EXCHANGES:
        raise SymbolInvalidError(
            text, f"{venue!r} does not trade pairs; take one of {', '.join(EXCHANGES)}"
        )
    if not directory.is_listed(Kind.SPOT, symbol.name, venue):
        where = venue or "any exchange here"
        raise MarketUnknownError(text, f"is not traded on {where}; /v1/symbols lists the pairs")
    return Instrument(Kind.SPOT, symbol.name, venue)


def _token(text: str, symbol: Symbol, directory: Directory) -> Instrument:
    found = directory.of_token(symbol.name)
    if found is None:
        raise MarketUnknownError(text, "no market has this token id; /v1/markets lists them")
    return Instrument(Kind.PREDICTION, found[0], symbol.venue, found[1])


def _prediction(text: str, symbol: Symbol, directory: Directory) -> Instrument:
    outcome = symbol.outcome or Outcome.YES
    if directory.is_listed(Kind.PREDICTION, symbol.name, symbol.venue):
        return Instrument(Kind.PREDICTION, symbol.name, symbol.venue, outcome)
    markets = directory.of_event(str(symbol.venue), symbol.name)
    if len(markets) == 1:
        return Instrument(Kind.PREDICTION, markets[0], symbol.venue, outcome)
    if markets:
        named = ", ".join(markets[:MAX_NAMED])
        raise SymbolInvalidError(
            text, f"is an event of {len(markets)} markets; name one of them: {named}"
        )
    raise MarketUnknownError(
        text, f"{symbol.venue} lists no such market; /v1/markets?venue={symbol.venue} lists all"
    )
