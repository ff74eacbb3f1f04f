"""The endpoints of quotes and of what traded."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

import json
import time
from collections.abc import Iterable
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from app.api.auth import requires_key
from market.feed import View
from market.quotes import HistoryQuery, price_history
from market.symbols import Instrument, Kind, resolve
from market.web.context import market
from market.web.quotes_schemas import (
    HistoryQuerySchema,
    HistorySchema,
    QuoteQuerySchema,
    QuotesBatchSchema,
    QuoteSchema,
    QuotesQuerySchema,
    QuotesSchema,
)
from market.web.quoting import books_of, one_quote, quote_rows

blueprint = Blueprint("quotes", __name__, url_prefix="/v1", description="Quotes")


@blueprint.route("/quotes/<path:symbol>", methods=["GET"])
@requires_key
@blueprint.arguments(QuoteQuerySchema, location="query")
@blueprint.response(200, QuoteSchema)
def get_quote(query: dict[str, Any], symbol: str) -> Any:
    """Best prices over all venues, each venue's own, and the merged book of one symbol."""
    may_wait = not query["nowait"]
    return as_json(one_quote(market().reader, symbol, query["depth"], may_wait=may_wait))


@blueprint.route("/quotes", methods=["GET"])
@requires_key
@blueprint.arguments(QuotesQuerySchema, location="query")
@blueprint.response(200, QuotesSchema)
def get_quotes(query: dict[str, Any]) -> Any:
    """Quotes of several symbols; a bad symbol is an error in its own row alone."""
    return _quotes(query["symbols"], query["depth"], None)


@blueprint.route("/quotes_batch", methods=["POST"])
@requires_key
@blueprint.arguments(QuotesBatchSchema)
@blueprint.response(200, QuotesSchema)
def quotes_batch(body: dict[str, Any]) -> Any:
    """Quotes of up to 2,000 symbols; a bad symbol is an error in its own row alone."""
    return _quotes(body["symbols"], body["depth"], body["instrument_type"])


@blueprint.route("/price_history/<path:symbol>", methods=["GET"])
@requires_key
@blueprint.arguments(HistoryQuerySchema, location="query")
@blueprint.response(200, HistorySchema)
def get_price_history(query: dict[str, Any], symbol: str) -> Any:
    """Bars by their last price, or the latest single trades with `fidelity_secs=0`."""
    view = market().reader.look()
    instrument = _traded(symbol, view, query["venue"])
    asked = HistoryQuery(
        range=query["range"],
        fidelity_s=query["fidelity_secs"],
        start_s=query["start_ts"],
        end_s=query["end_ts"],
        limit=query["limit"],
    )
    ticks = market().reader.trades(books_of(instrument, view.catalogue))
    return as_json(price_history(symbol, instrument, ticks, asked, int(time.time())))


def as_json(value: Any) -> Response:
    """The answer as it is: these shapes are made by our own functions, and often."""
    return Response(json.dumps(value, separators=(",", ":")), mimetype="application/json")


def _quotes(symbols: list[str], depth: int, kind: str | None) -> Response:
    began_s = time.monotonic()
    rows = list(quote_rows(market().reader, symbols, depth, kind))
    elapsed_ms = int((time.monotonic() - began_s) * 1000)
    return Response(_batch(rows, elapsed_ms), mimetype="application/json")


def _batch(rows: list[str], elapsed_ms: int) -> Iterable[str]:
    return [
        '{"quotes":[',
        ",".join(rows),
        f'],"count":{len(rows)},"elapsed_ms":{elapsed_ms}}}',
    ]


def _traded(symbol: str, view: View, venue: str | None) -> Instrument:
    """The instrument; only a pair has a choice of venues."""
    instrument = resolve(symbol, view.catalogue)
    if venue is None or instrument.kind is not Kind.SPOT:
        return instrument
    return resolve(symbol, view.catalogue, venue)
