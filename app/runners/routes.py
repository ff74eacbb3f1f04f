"""The runners, as every key may see them: they belong to the platform, not to a client."""

from typing import Any

from flask_smorest import Blueprint

from app.api.auth import requires_key
from app.api.context import services
from app.runners import service
from app.runners.schemas import RunnerListSchema

blueprint = Blueprint("runners", __name__, url_prefix="/v1/runners", description="Runners")


@blueprint.route("", methods=["GET"])
@requires_key
@blueprint.response(200, RunnerListSchema)
def list_runners() -> Any:
    """Every runner that was heard of within the hour: its queues, its load, its last heartbeat."""
    return {"runners": service.list_all(services())}
