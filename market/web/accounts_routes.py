"""The endpoints of a paper account: positions, switches, settings, and beginning anew."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

from typing import Any

from flask_smorest import Blueprint

from app.api.auth import caller, requires, requires_key
from app.clients.service import Scope
from app.errors import NotFoundError
from market.symbols.models import VENUES
from market.web.account_schemas import (
    BalancesSchema,
    CancelledSchema,
    PositionSchema,
    RedeemedSchema,
    ResetSchema,
    SettingsSchema,
    SwitchSchema,
    TotalsSchema,
    UnifiedSchema,
)
from market.web.context import market
from market.web.trading_schemas import (
    KillSwitchSchema,
    PositionsQuerySchema,
    RedeemQuerySchema,
    SandboxSettingsSchema,
)

blueprint = Blueprint("accounts", __name__, url_prefix="/v1", description="Paper accounts")


@blueprint.route("/positions/unified", methods=["GET"])
@requires_key
@blueprint.arguments(PositionsQuerySchema, location="query")
@blueprint.response(200, UnifiedSchema)
def list_unified_positions(query: dict[str, Any]) -> Any:
    """Cash, coins and event contracts in dollars; the totals are of all of them."""
    asked = query["include_closed"]
    found = market().trading.ask(caller(), "positions", include_closed=asked)
    venues, kinds = query.get("venues"), query.get("kinds")
    rows = [
        row
        for row in found["positions"]
        if (not venues or row["venue"] in venues) and (not kinds or row["kind"] in kinds)
    ]
    return {**found, "positions": rows}


@blueprint.route("/positions", methods=["GET"])
@requires_key
@blueprint.response(200, PositionSchema(many=True))
def list_positions() -> Any:
    """Coins and event contracts, without the cash."""
    found = market().trading.ask(caller(), "positions")
    return [row for row in found["positions"] if row["kind"] != "fiat"]


@blueprint.route("/portfolio/summary", methods=["GET"])
@requires_key
@blueprint.response(200, TotalsSchema)
def get_portfolio() -> Any:
    """The totals of the account."""
    return market().trading.ask(caller(), "positions")["totals"]


@blueprint.route("/balances", methods=["GET"])
@requires_key
@blueprint.response(200, BalancesSchema)
def list_balances() -> Any:
    """Dollars first, then coins by exchange."""
    return market().trading.ask(caller(), "balances")


@blueprint.route("/kill_switch", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.arguments(KillSwitchSchema, required=False)
@blueprint.response(200, SwitchSchema)
def engage_kill_switch(body: dict[str, Any]) -> Any:
    """Send nothing more for this account; what rests goes on resting."""
    return market().trading.ask(caller(), "halt", reason=(body or {}).get("reason"))


@blueprint.route("/kill_switch/clear", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, SwitchSchema)
def clear_kill_switch() -> Any:
    """Take it back; paused graphs go on when they are resumed."""
    return market().trading.ask(caller(), "clear")


@blueprint.route("/venue_cancel_all/<venue>", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, CancelledSchema)
def cancel_venue(venue: str) -> Any:
    """Cancel every live order of the account on one venue."""
    if venue not in VENUES:
        raise NotFoundError(f"{venue!r} is no venue here; take one of {', '.join(VENUES)}")
    return market().trading.ask(caller(), "cancel_venue", venue=venue)


@blueprint.route("/markets/<slug>/redeem", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.arguments(RedeemQuerySchema, location="query")
@blueprint.response(200, RedeemedSchema)
def redeem_market(query: dict[str, Any], slug: str) -> Any:
    """Pay out what is held of a market that has resolved."""
    return market().trading.ask(caller(), "redeem", slug=slug, venue=query["venue"])


@blueprint.route("/sandbox/reset", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, ResetSchema)
def reset_sandbox() -> Any:
    """Begin anew: every order is cancelled, every position gone, the cash that of the settings."""
    return market().trading.ask(caller(), "reset")


@blueprint.route("/sandbox/settings", methods=["GET"])
@requires_key
@blueprint.response(200, SettingsSchema)
def get_sandbox_settings() -> Any:
    """What a reset gives, and whether the kill switch is engaged."""
    return market().trading.ask(caller(), "settings")


@blueprint.route("/sandbox/settings", methods=["PUT"])
@requires(Scope.DEPLOY)
@blueprint.arguments(SandboxSettingsSchema)
@blueprint.response(200, SettingsSchema)
def change_sandbox_settings(body: dict[str, Any]) -> Any:
    """Say what a reset gives."""
    return market().trading.ask(caller(), "settings", **body)
