"""What clients of the real service may ask for and this platform does not have: 501, and why.

docs/market.md has the table; a test calls every one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response

from app.api.auth import requires_key
from market.web.live import NotServedError

_ALGOS = "WASM algos are not part of this platform; deploy a strategy (`sequence strategy deploy`)"
_PERPETUALS = "perpetuals are not traded here, only spot pairs and prediction markets"
_ANALYSIS = "the paper market has no analysis of execution; GET /v1/fills has every fill"
_PREVIEW = "the paper market makes no forecasts; POST /v1/orders/preview walks the book"
_BOOKS = "the paper market keeps no venue statistics; GET /v1/quotes/{symbol} has the books"
_REWARDS = "the paper market pays no maker rewards"
_RISK = "risk limits are those of the platform: GET /v1/account shows quotas and limits"
_LISTINGS = "markets are listed when the market starts; poll GET /v1/markets instead"


@dataclass(frozen=True)
class NotServed:
    """One request that is answered with 501; `why` says what to do instead."""

    name: str
    method: str
    path: str
    why: str


ROUTES = (
    NotServed("deploy_algo", "POST", "/deployments", _ALGOS),
    NotServed("get_algo_deployment", "GET", "/deployments/<deployment_id>", _ALGOS),
    NotServed("undeploy_algo", "DELETE", "/deployments/<deployment_id>", _ALGOS),
    NotServed("start_algo", "POST", "/deployments/<deployment_id>/start", _ALGOS),
    NotServed("stop_algo", "POST", "/deployments/<deployment_id>/stop", _ALGOS),
    NotServed("get_algo_logs", "GET", "/deployments/<deployment_id>/logs", _ALGOS),
    NotServed("get_algo_mesh", "GET", "/deployments/<deployment_id>/mesh", _ALGOS),
    NotServed("list_algos", "GET", "/algos", _ALGOS),
    NotServed("get_symbol_algo", "GET", "/algos/<path:symbol>", _ALGOS),
    NotServed("start_symbol_algo", "POST", "/algos/<path:symbol>/start", _ALGOS),
    NotServed("stop_symbol_algo", "POST", "/algos/<path:symbol>/stop", _ALGOS),
    NotServed("get_symbol_algo_logs", "GET", "/algos/<path:symbol>/logs", _ALGOS),
    NotServed("get_symbol_algo_stats", "GET", "/algos/<path:symbol>/stats", _ALGOS),
    NotServed("get_funding_rates", "GET", "/market/funding-rates", _PERPETUALS),
    NotServed("get_funding_history", "GET", "/funding_history/<path:symbol>", _PERPETUALS),
    NotServed("get_perp_positions", "GET", "/positions/perp", _PERPETUALS),
    NotServed("get_risk_limits", "GET", "/risk_limits", _RISK),
    NotServed("get_tca", "GET", "/tca", _ANALYSIS),
    NotServed("get_traces", "GET", "/traces", _ANALYSIS),
    NotServed("get_execution_live", "GET", "/execution/live/<node_order_id>", _ANALYSIS),
    NotServed("get_execution_review", "GET", "/execution/review/<node_order_id>", _ANALYSIS),
    NotServed("get_execution_summary", "GET", "/execution/summary", _ANALYSIS),
    NotServed("get_forecast", "GET", "/execution/forecast", _PREVIEW),
    NotServed("get_slippage", "GET", "/intelligence/slippage", _PREVIEW),
    NotServed("get_routing", "GET", "/intelligence/routing", _PREVIEW),
    NotServed("get_depth", "GET", "/intelligence/depth", _BOOKS),
    NotServed("get_venue_intelligence", "GET", "/intelligence/venues", _BOOKS),
    NotServed("list_rewards", "GET", "/polymarket/rewards", _REWARDS),
    NotServed("get_rewards", "GET", "/polymarket/rewards/<token_id>", _REWARDS),
    NotServed("stream_new_markets", "GET", "/ws/new_markets", _LISTINGS),
    NotServed("stream_resolved_markets", "GET", "/ws/market_resolved", _LISTINGS),
)


blueprint = Blueprint("not_served", __name__, url_prefix="/v1")


def _refusal(why: str) -> Callable[..., Response]:
    def view(**_: str) -> Response:
        raise NotServedError(f"not served: {why}")

    return requires_key(view)


for _route in ROUTES:
    _view = _refusal(_route.why)
    blueprint.add_url_rule(_route.path, _route.name, _view, methods=[_route.method])
    if _route.path.startswith("/ws/"):
        # A handshake meets no rule for plain requests, and the other way round.
        blueprint.add_url_rule(_route.path, _route.name, _view, websocket=True)
