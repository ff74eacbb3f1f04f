"""``sequence quote``."""

import json
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi, Row
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.table import aligned_table
from sequence_cli.trading.amounts import shown

_HEADER = ("SYMBOL", "BID", "ASK", "MID", "SPREAD", "VENUE", "BID SIZE", "ASK SIZE", "AGE")
_BOOK_HEADER = ("BID SIZE", "BID", "ASK", "ASK SIZE")
_DEPTH = 10


@click.command()
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)
@click.option("--depth", type=click.IntRange(1, 100), help="Show so many levels of the book.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answers as JSON.")
@with_connection
def quote(
    connection: Connection, symbols: tuple[str, ...], depth: int | None, as_json: bool
) -> int:
    """Show the best prices of a symbol: BTC-USD, a Kalshi ticker, a Polymarket slug or token."""
    api = MarketApi(ApiClient(connection))
    quotes = [api.quote(symbol, depth or _DEPTH) for symbol in symbols]
    if as_json:
        click.echo(json.dumps(quotes[0] if len(quotes) == 1 else {"quotes": quotes}))
        return 0
    rows = [cells for one in quotes for cells in _cells(one)]
    for line in aligned_table(_HEADER, rows):
        click.echo(line)
    for one in quotes if depth else ():
        click.echo(f"\n{one['symbol']}")
        for line in aligned_table(_BOOK_HEADER, _book(one.get("book") or {})):
            click.echo(line)
    return 0


def _cells(quote: Row) -> list[tuple[str, ...]]:
    """The best of all venues first, then each venue that has a part in it."""
    best = quote.get("nbbo") or {}
    head = (
        str(quote.get("symbol", "-")),
        _price(best.get("bid")),
        _price(best.get("ask")),
        _price(best.get("mid")),
        f"{best.get('spread_bps') or 0:.1f} bps",
    )
    venues = [
        (name, _size(one, "bid_size"), _size(one, "ask_size"), f"{one.get('age_ms', 0)} ms", one)
        for name, one in (quote.get("venues") or {}).items()
    ]
    if not venues:
        return [(*head, "-", "-", "-", "-")]
    if len(venues) == 1:
        return [(*head, *venues[0][:4])]
    rows: list[tuple[str, ...]] = [(*head, "best", "-", "-", "-")]
    rows += [("", _price(v.get("bid")), _price(v.get("ask")), "", "", *c) for *c, v in venues]
    return rows


def _price(value: Any) -> str:
    # An empty side is 0 on the wire.
    return shown(value) if value else "-"


def _size(venue: dict[str, Any], name: str) -> str:
    return shown(venue.get(name)) if venue.get(name) else "-"


def _book(book: dict[str, Any]) -> list[tuple[str, ...]]:
    bids, asks = book.get("bids") or [], book.get("asks") or []
    rows: list[tuple[str, ...]] = []
    for at in range(max(len(bids), len(asks))):
        bid = bids[at] if at < len(bids) else (None, None)
        ask = asks[at] if at < len(asks) else (None, None)
        rows.append((shown(bid[1]), shown(bid[0]), shown(ask[0]), shown(ask[1])))
    return rows
