"""The market's routes in the web process, and what they work with."""

from collections.abc import Sequence
from typing import Any

from flask import Flask

from app.parts import Part
from app.settings import Settings
from market.web import context, errors, examples, trading_examples
from market.web.accounts_routes import blueprint as accounts
from market.web.discovery_routes import blueprint as discovery
from market.web.not_served import blueprint as not_served
from market.web.orders_routes import blueprint as orders
from market.web.quotes_routes import blueprint as quotes
from market.web.stream_routes import blueprint as stream
from market.web.venues_routes import blueprint as venues


def market_part() -> Part:
    """All of it, for `create_app`."""
    bodies = {**examples.BODIES, **trading_examples.BODIES}
    answers = {**examples.ANSWERS, **trading_examples.ANSWERS}
    return Part(blueprints(), _attach, _let_go, bodies, answers)


def blueprints() -> Sequence[Any]:
    """The routes."""
    return (quotes, discovery, venues, stream, orders, accounts)


def _attach(app: Flask, settings: Settings) -> None:
    errors.init_app(app)
    context.init_app(app, settings)
    # Not in the specification: that is what is served.
    app.register_blueprint(not_served)


def _let_go(app: Flask) -> None:
    app.extensions[context.EXTENSION].streams.shut_down()
