"""The endpoints of what does not depend on prices: symbols, fees, venues."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

from typing import Any

from flask_smorest import Blueprint
from marshmallow import Schema, fields

from app.api.auth import requires_key
from app.api.schema import RequestSchema
from market.quotes import edges, fees, symbols
from market.symbols import resolve
from market.web.context import market
from market.web.fields import comma_separated
from market.web.quotes_routes import as_json

blueprint = Blueprint("venues", __name__, url_prefix="/v1", description="Venues")


class FeesQuerySchema(RequestSchema):
    """Query of `GET /v1/fees`: a symbol, and venues separated by commas; none: all of its own."""

    ticker = fields.String(required=True)
    venues = comma_separated(20)


class FeeSchema(Schema):
    """Fees of one venue in basis points; null where it does not trade the symbol."""

    venue = fields.String()
    maker_bps = fields.Integer(allow_none=True)
    taker_bps = fields.Integer(allow_none=True)


class FeesSchema(Schema):
    """`{ticker, fees}`."""

    ticker = fields.String()
    fees = fields.List(fields.Nested(FeeSchema))


class EdgeSchema(Schema):
    """One venue of this market, and how much it lists."""

    venue = fields.String()
    status = fields.String()
    type = fields.String()
    instruments = fields.Integer()


class EdgesSchema(Schema):
    """`{edges}`."""

    edges = fields.List(fields.Nested(EdgeSchema))


class TradableSchema(Schema):
    """One symbol: `spot` or `prediction`, where it trades, and the steps of price and size."""

    symbol = fields.String()
    type = fields.String()
    venues = fields.List(fields.String())
    tick = fields.Float()
    lot = fields.Float()


@blueprint.route("/symbols", methods=["GET"])
@requires_key
@blueprint.response(200, TradableSchema(many=True))
def list_symbols() -> Any:
    """Everything that can be traded: pairs first, then prediction markets by their YES."""
    return as_json(symbols(market().reader.look().catalogue))


@blueprint.route("/fees", methods=["GET"])
@requires_key
@blueprint.arguments(FeesQuerySchema, location="query")
@blueprint.response(200, FeesSchema)
def get_fees(query: dict[str, Any]) -> Any:
    """Maker and taker fees of a symbol by venue; of a prediction market those at a price of 0.5."""
    catalogue = market().reader.look().catalogue
    ticker = query["ticker"]
    return as_json(fees(ticker, resolve(ticker, catalogue), catalogue, query.get("venues", [])))


@blueprint.route("/edges", methods=["GET"])
@requires_key
@blueprint.response(200, EdgesSchema)
def list_edges() -> Any:
    """The venues of this market."""
    return as_json(edges(market().reader.look().catalogue))
