"""Versions of a strategy, and the way back to one."""

from typing import Any

from flask_smorest import Blueprint

from app.api.auth import caller, requires, requires_key
from app.api.context import services
from app.clients.service import Scope
from app.deployments import service
from app.deployments.schemas import RollbackSchema, VersionPageSchema
from app.history.schemas import PageQuerySchema
from app.strategies.schemas import OneStrategySchema

blueprint = Blueprint("deployments", __name__, url_prefix="/v1/strategies", description="Versions")


@blueprint.route("/<strategy_id>/versions", methods=["GET"])
@requires_key
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, VersionPageSchema)
def list_versions(query: dict[str, Any], strategy_id: str) -> Any:
    """Versions that are kept, newest first."""
    page = service.versions(services(), caller(), strategy_id, **query)
    return {"strategy_id": strategy_id, "versions": page.entries, "next_before": page.next_before}


@blueprint.route("/<strategy_id>/rollback", methods=["POST"])
@requires(Scope.DEPLOY)
@blueprint.arguments(RollbackSchema)
@blueprint.response(200, OneStrategySchema)
def roll_back(body: dict[str, Any], strategy_id: str) -> Any:
    """Deploy an earlier version again, as a new one; one that runs is replaced gracefully."""
    row = service.roll_back(services(), caller(), strategy_id, body["version"])
    return {"strategy": row}
