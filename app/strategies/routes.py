"""The strategy endpoints: parse, call one service function, serialise."""

from typing import Any

from flask import request
from flask_smorest import Blueprint

from app.api.auth import caller, requires, requires_key
from app.api.context import services
from app.api.uploads import bounds_uploads
from app.clients.service import Scope
from app.logs.masking import warnings
from app.strategies import service, update
from app.strategies.idempotency import HEADER
from app.strategies.listing import Selection, parse_place
from app.strategies.schemas import (
    CreatedSchema,
    CreateSchema,
    DeletedSchema,
    InspectedStrategySchema,
    ListQuerySchema,
    OneStrategySchema,
    StrategyListSchema,
)
from app.strategies.update_schemas import UpdateSchema

blueprint = Blueprint(
    "strategies", __name__, url_prefix="/v1/strategies", description="Hosted strategies"
)


@blueprint.route("", methods=["POST"])
@requires(Scope.DEPLOY)
@bounds_uploads
@blueprint.arguments(CreateSchema)
@blueprint.response(201, CreatedSchema)
@blueprint.alt_response(200, schema=CreatedSchema)
def create_strategy(body: dict[str, Any]) -> Any:
    """Create a strategy, or replace the artifact and settings of the one with this name."""
    key = request.headers.get(HEADER, "")
    created = service.create(services(), caller(), body, key)
    found = warnings(body["secrets"])
    answer = {"strategy": created.row} | ({"warnings": found} if found else {})
    return answer, 201 if created.is_new else 200


@blueprint.route("", methods=["GET"])
@requires_key
@blueprint.arguments(ListQuerySchema, location="query")
@blueprint.response(200, StrategyListSchema)
def list_strategies(query: dict[str, Any]) -> Any:
    """The caller's strategies, newest first: all, or those asked for, or a page of them."""
    cursor = query.pop("cursor")
    after = None if cursor is None else parse_place(cursor)
    page = service.list_some(services(), caller(), Selection(**query, after=after))
    answer = {"strategies": page.rows}
    # Whoever does not ask for pages gets what the contract has, and nothing beside it.
    return answer if query["limit"] is None else answer | {"next_cursor": page.next_cursor}


@blueprint.route("/<strategy_id>", methods=["GET"])
@requires_key
@blueprint.response(200, InspectedStrategySchema)
def get_strategy(strategy_id: str) -> Any:
    """One strategy with its current or last run."""
    return {"strategy": service.inspect(services(), caller(), strategy_id)}


@blueprint.route("/<strategy_id>", methods=["PATCH"])
@requires(Scope.DEPLOY)
@blueprint.arguments(UpdateSchema)
@blueprint.response(200, CreatedSchema)
def update_strategy(body: dict[str, Any], strategy_id: str) -> Any:
    """Change settings in place, as a merge patch; one that runs is replaced gracefully."""
    row = update.update(services(), caller(), strategy_id, body)
    given = {name: value for name, value in (body.get("secrets") or {}).items() if value}
    found = warnings(given)
    return {"strategy": row} | ({"warnings": found} if found else {})


@blueprint.route("/<strategy_id>/start", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, OneStrategySchema)
def start_strategy(strategy_id: str) -> Any:
    """Make it run."""
    return {"strategy": service.start(services(), caller(), strategy_id)}


@blueprint.route("/<strategy_id>/stop", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.response(200, OneStrategySchema)
def stop_strategy(strategy_id: str) -> Any:
    """Make it end: SIGTERM, some grace, then SIGKILL."""
    return {"strategy": service.stop(services(), caller(), strategy_id)}


@blueprint.route("/<strategy_id>", methods=["DELETE"])
@requires(Scope.DEPLOY)
@blueprint.response(200, DeletedSchema)
def delete_strategy(strategy_id: str) -> Any:
    """Purge its artifact, row and logs; a running one is stopped first."""
    service.delete(services(), caller(), strategy_id)
    return {"strategy_id": strategy_id, "deleted": True}
