"""What the market's endpoints work with, found through the Flask app."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from app.api.context import EXTENSION as SERVICES
from app.settings import Settings
from market.feed import MarketReader

EXTENSION = "market"


@dataclass(frozen=True)
class MarketServices:
    """The market as one web process sees it."""

    reader: MarketReader


def init_app(app: Flask, _settings: Settings) -> None:
    """Make them; connects to nothing yet."""
    app.extensions[EXTENSION] = MarketServices(reader=MarketReader(app.extensions[SERVICES].redis))


def market() -> MarketServices:
    """The market services of the app that answers the present request."""
    return cast(MarketServices, current_app.extensions[EXTENSION])
