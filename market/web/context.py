"""What the market's endpoints work with, found through the Flask app."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from app.api.context import EXTENSION as SERVICES
from app.api.context import Services
from app.settings import Settings
from market.calls import MarketCalls
from market.feed import MarketReader
from market.stream.hub import Hub
from market.stream.limit import ConnectionLimit
from market.stream.streams import Streams
from market.web.trading import Trading

EXTENSION = "market"


@dataclass(frozen=True)
class MarketServices:
    """The market as one web process sees it."""

    reader: MarketReader
    streams: Streams
    trading: Trading


def init_app(app: Flask, settings: Settings) -> None:
    """Make them; connects to nothing yet."""
    services: Services = app.extensions[SERVICES]
    reader = MarketReader(services.redis)
    streams = Streams(
        services.database, Hub(services.redis, reader), ConnectionLimit(services.redis)
    )
    trading = Trading(MarketCalls(settings.redis_url), services.redis)
    app.extensions[EXTENSION] = MarketServices(reader, streams, trading)


def market() -> MarketServices:
    """The market services of the app that answers the present request."""
    return cast(MarketServices, current_app.extensions[EXTENSION])
