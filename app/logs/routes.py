"""The log endpoint: a page as JSON, or the live log as server-sent events."""

from typing import Any

from flask import Response, request, stream_with_context
from flask_smorest import Blueprint

from app.api.auth import caller, requires_key
from app.api.context import services
from app.errors import Detail, InvalidParamsError
from app.logs import cursor
from app.logs import service as logs
from app.logs.follow import Follower
from app.logs.schemas import LogPageSchema, LogQuerySchema
from app.strategies import service as strategies

blueprint = Blueprint("logs", __name__, url_prefix="/v1/strategies", description="Logs")


@blueprint.route("/<strategy_id>/logs", methods=["GET"])
@requires_key
@blueprint.arguments(LogQuerySchema, location="query")
@blueprint.response(200, LogPageSchema)
def read_logs(query: dict[str, Any], strategy_id: str) -> Any:
    """Lines of the latest run, or of the one that is named; `follow=true` keeps delivering."""
    resume_at = query["after"] or (request.headers.get("Last-Event-ID") if query["follow"] else "")
    after = cursor.parse(resume_at, "after") if resume_at else None
    if query["follow"] and query["run_id"]:
        message = "follow goes on across runs; leave out run_id, or follow"
        raise InvalidParamsError(message, [Detail("run_id", message)])
    if query["follow"]:
        return _follow(strategy_id, after)
    page = logs.read(
        services(), caller(), strategy_id, logs.Query(query["run_id"], after, query["limit"])
    )
    return {
        "strategy_id": strategy_id,
        "run_id": page.run_id,
        "logs": page.lines,
        "next_after": page.next_after,
    }


def _follow(strategy_id: str, after: cursor.Cursor | None) -> Response:
    strategies.get(services(), caller(), strategy_id)
    follower = Follower(services(), caller(), strategy_id, after)
    response = Response(stream_with_context(follower.events()), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
