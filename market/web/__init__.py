"""The market's routes in the web process, and what they work with."""

from collections.abc import Sequence
from typing import Any

from flask import Flask

from app.parts import Part
from app.settings import Settings
from market.web import context, errors, examples
from market.web.discovery_routes import blueprint as discovery
from market.web.quotes_routes import blueprint as quotes
from market.web.stream_routes import blueprint as stream
from market.web.venues_routes import blueprint as venues


def market_part() -> Part:
    """All of it, for `create_app`."""
    return Part(blueprints(), _attach, examples.BODIES, examples.ANSWERS)


def blueprints() -> Sequence[Any]:
    """The routes."""
    return (quotes, discovery, venues, stream)


def _attach(app: Flask, settings: Settings) -> None:
    errors.init_app(app)
    context.init_app(app, settings)
