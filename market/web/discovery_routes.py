"""The endpoints that find prediction markets and say how they ended."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

import time
from typing import Any

from flask_smorest import Blueprint

from app.api.auth import requires_key
from market.catalogue import Catalogue, Listing
from market.engine import BookKey
from market.errors import MarketUnknownError
from market.quotes import MarketQuery, markets_page, settlement
from market.quotes.levels import EMPTY
from market.symbols import Kind, resolve
from market.web.context import market
from market.web.discovery_schemas import (
    MarketsQuerySchema,
    MarketsSchema,
    SettlementQuerySchema,
    SettlementSchema,
)
from market.web.quotes_routes import as_json

blueprint = Blueprint("discovery", __name__, url_prefix="/v1", description="Markets")


@blueprint.route("/markets", methods=["GET"])
@requires_key
@blueprint.arguments(MarketsQuerySchema, location="query")
@blueprint.response(200, MarketsSchema)
def list_markets(query: dict[str, Any]) -> Any:
    """Prediction markets of a venue as uniform rows, page by page."""
    for name in ("tag_id", "exclude_tag_id", "related_tags"):
        del query[name]
    asked = MarketQuery(**query)
    view = market().reader.look(
        lambda catalogue: [one.key for one in catalogue.listings if one.venue == asked.venue]
    )
    images = {key: found.image for key, found in view.books.items()}
    return as_json(markets_page(asked, view.catalogue, images, int(time.time())))


@blueprint.route("/settlement/<path:slug>", methods=["GET"])
@requires_key
@blueprint.arguments(SettlementQuerySchema, location="query")
@blueprint.response(200, SettlementSchema)
def get_settlement(_query: dict[str, Any], slug: str) -> Any:
    """How a market was resolved; until then its prices."""
    view = market().reader.look(lambda catalogue: [_listing(slug, catalogue).key])
    listing = _listing(slug, view.catalogue)
    found = view.books.get(listing.key)
    return as_json(settlement(listing, found.image if found else EMPTY, int(time.time())))


def _listing(name: str, catalogue: Catalogue) -> Listing:
    instrument = resolve(name, catalogue)
    listing = None
    if instrument.kind is Kind.PREDICTION:
        listing = catalogue.listing(BookKey(str(instrument.venue), instrument.market))
    if listing is None:
        raise MarketUnknownError(name, "is a pair, which never settles; name a prediction market")
    return listing
