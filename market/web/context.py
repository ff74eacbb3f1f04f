"""What the market's endpoints work with, found through the Flask app."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from app.api.context import EXTENSION as SERVICES
from app.settings import Settings
from market.calls import MarketCalls
from market.feed import MarketReader
from market.web.trading import Trading

EXTENSION = "market"


@dataclass(frozen=True)
class MarketServices:
    """The market as one web process sees it."""

    reader: MarketReader
    trading: Trading


def init_app(app: Flask, settings: Settings) -> None:
    """Make them; connects to nothing yet."""
    redis = app.extensions[SERVICES].redis
    trading = Trading(MarketCalls(settings.redis_url), redis)
    app.extensions[EXTENSION] = MarketServices(MarketReader(redis), trading)


def market() -> MarketServices:
    """The market services of the app that answers the present request."""
    return cast(MarketServices, current_app.extensions[EXTENSION])
