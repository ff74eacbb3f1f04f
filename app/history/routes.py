"""The past of a strategy: pages of its runs and of its events."""

from typing import Any

from flask_smorest import Blueprint

from app.api.auth import caller, requires_key
from app.api.context import services
from app.history import service
from app.history.schemas import EventPageSchema, OneRunSchema, PageQuerySchema, RunPageSchema

blueprint = Blueprint("history", __name__, url_prefix="/v1/strategies", description="History")


@blueprint.route("/<strategy_id>/runs", methods=["GET"])
@requires_key
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, RunPageSchema)
def list_runs(query: dict[str, Any], strategy_id: str) -> Any:
    """Runs, newest first: what each was given, how it ended, what it used."""
    page = service.runs(services(), caller(), strategy_id, **query)
    return {"strategy_id": strategy_id, "runs": page.entries, "next_before": page.next_before}


@blueprint.route("/<strategy_id>/runs/<run_id>", methods=["GET"])
@requires_key
@blueprint.response(200, OneRunSchema)
def get_run(strategy_id: str, run_id: str) -> Any:
    """One run."""
    return {"run": service.run(services(), caller(), strategy_id, run_id)}


@blueprint.route("/<strategy_id>/events", methods=["GET"])
@requires_key
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, EventPageSchema)
def list_events(query: dict[str, Any], strategy_id: str) -> Any:
    """Every transition and request, newest first: when, who, why."""
    page = service.events(services(), caller(), strategy_id, **query)
    return {"strategy_id": strategy_id, "events": page.entries, "next_before": page.next_before}
