"""The endpoints of orders, fills and graphs: parse, call one function, serialise."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

from typing import Any

from flask import request
from flask_smorest import Blueprint

from app.api.auth import caller, requires, requires_key
from app.api.context import services
from app.clients.service import Scope
from app.errors import ConflictError
from market.store import reader
from market.web import trading
from market.web.account_schemas import PreviewSchema
from market.web.context import market
from market.web.trading_schemas import (
    AmendSchema,
    FillsSchema,
    GraphSchema,
    GraphStateSchema,
    OrderSchema,
    OrdersQuerySchema,
    OrdersSchema,
    PageSchema,
    SubmitSchema,
    SubmittedSchema,
)

blueprint = Blueprint("orders", __name__, url_prefix="/v1", description="Orders")


@blueprint.route("/orders", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.arguments(SubmitSchema)
@blueprint.response(200, SubmittedSchema)
def submit_graph(body: dict[str, Any]) -> Any:
    """Start an execution graph, or one order in the simple form.

    The same `graph_id` or `Idempotency-Key` with the same body is the graph that it made before.
    """
    return market().trading.submit(caller(), body, request.headers.get("Idempotency-Key"))


@blueprint.route("/orders/preview", methods=["POST"])
@requires_key
@blueprint.arguments(SubmitSchema)
@blueprint.response(200, PreviewSchema)
def preview_order(body: dict[str, Any]) -> Any:
    """What an order in the simple form would cost now, on each venue; nothing is sent."""
    trading.check_text(body)
    return market().trading.ask(caller(), "preview", body=body)


@blueprint.route("/orders", methods=["GET"])
@requires_key
@blueprint.arguments(OrdersQuerySchema, location="query")
@blueprint.response(200, OrdersSchema)
def list_orders(query: dict[str, Any]) -> Any:
    """Orders, newest first; with `node_order_id` that one, or none."""
    owner, limit, offset = trading.owner_of(caller()), query["limit"], query["offset"]
    with services().database.reading() as session:
        if query["node_order_id"] is not None:
            found = reader.order(session, owner, query["node_order_id"])
            rows, total = ([found], 1) if found else ([], 0)
        else:
            rows, total = reader.orders(session, owner, query["symbol"], limit, offset)
    page = {"total": total, "limit": limit, "offset": offset}
    return {"orders": rows, **page, "has_more": offset + len(rows) < total}


@blueprint.route("/orders/<node_order_id>", methods=["GET"])
@requires_key
@blueprint.response(200, OrderSchema)
def get_order(node_order_id: str) -> Any:
    """One order."""
    return trading.order(caller(), node_order_id)


@blueprint.route("/orders/<node_order_id>", methods=["PATCH"])
@requires(Scope.DEPLOY)
@blueprint.arguments(AmendSchema)
@blueprint.response(200, OrderSchema)
def amend_order(body: dict[str, Any], node_order_id: str) -> Any:
    """Change the limit or the whole quantity of a live order."""
    limit = (body["new_constraints"] or {}).get("max_price_1e9")
    changed = market().trading.ask(
        caller(), "amend", name=node_order_id, price_1e9=limit, qty_1e8=body["new_qty_1e8"]
    )
    if changed is None:
        row = trading.order(caller(), node_order_id)
        raise ConflictError(f"the order is {row['status']}: only a live one can be amended")
    return changed


@blueprint.route("/orders/<node_order_id>", methods=["DELETE"])
@requires(Scope.DEPLOY)
@blueprint.response(200, OrderSchema)
def cancel_order(node_order_id: str) -> Any:
    """Cancel a live order; of one that has ended nothing changes."""
    cancelled = market().trading.ask(caller(), "cancel_order", name=node_order_id)
    return cancelled or trading.order(caller(), node_order_id)


@blueprint.route("/fills", methods=["GET"])
@requires_key
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, FillsSchema)
def list_fills(query: dict[str, Any]) -> Any:
    """Fills, newest first; `symbol` as the order had it."""
    owner, limit, offset = trading.owner_of(caller()), query["limit"], query["offset"]
    with services().database.reading() as session:
        rows = reader.fills(session, owner, query["symbol"], limit, offset)
    return {"fills": rows, "limit": limit, "offset": offset}


@blueprint.route("/execution_graphs/<graph_id>", methods=["GET"])
@requires_key
@blueprint.response(200, GraphSchema)
def get_graph(graph_id: str) -> Any:
    """Where a graph is; `completed` comes two seconds after its last fill."""
    return trading.graph(caller(), graph_id)


@blueprint.route("/execution_graphs/<graph_id>", methods=["DELETE"])
@requires(Scope.DEPLOY)
@blueprint.response(200, GraphStateSchema)
def cancel_graph(graph_id: str) -> Any:
    """Cancel a graph and what of it rests; of one that has ended nothing changes."""
    cancelled = market().trading.ask(caller(), "cancel_graph", graph_id=graph_id)
    return cancelled or trading.graph(caller(), graph_id)


@blueprint.route("/execution_graphs/<graph_id>/resume", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, GraphStateSchema)
def resume_graph(graph_id: str) -> Any:
    """Go on with a graph that the kill switch paused."""
    resumed = market().trading.ask(caller(), "resume", graph_id=graph_id)
    if resumed is None:
        row = trading.graph(caller(), graph_id)
        raise ConflictError(f"the graph is {row['status']}: only a paused one can be resumed")
    return resumed
