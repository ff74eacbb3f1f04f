"""The log endpoint: a page as JSON, or the live log in one of three forms."""

import json
import math
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

from flask import Response, request, stream_with_context
from flask_smorest import Blueprint

from app.api.auth import caller, requires_key
from app.api.context import services
from app.errors import Detail, InvalidParamsError
from app.logs import cursor, filters
from app.logs import service as logs
from app.logs.filters import Filter
from app.logs.follow import Follower
from app.logs.formats import EVENTS, FORMATS
from app.logs.records import record_json
from app.logs.schemas import LogPageSchema, LogQuerySchema
from app.strategies import service as strategies

blueprint = Blueprint("logs", __name__, url_prefix="/v1/strategies", description="Logs")

_SEND_WITHIN_S = 60.0
_NOT_WHILE_FOLLOWING = ("run_id", "before", "until", "order", "limit")


@blueprint.route("/<strategy_id>/logs", methods=["GET"])
@requires_key
@blueprint.arguments(LogQuerySchema, location="query")
@blueprint.response(200, LogPageSchema)
def read_logs(query: dict[str, Any], strategy_id: str) -> Any:
    """Lines of the latest run, or of those that are asked for; `follow=true` keeps delivering."""
    if query["follow"]:
        return _follow(strategy_id, query)
    asked = logs.Query(
        run_id=query["run_id"],
        after=_cursor(query, "after"),
        before=_cursor(query, "before"),
        limit=query["limit"],
        order=query["order"],
        wanted=_filter(query),
    )
    page = logs.read(services(), caller(), strategy_id, asked)
    rest: dict[str, Any] = {"next_after": page.next_after}
    if set(request.args) - {"run_id", "after", "limit"}:
        rest["next_before"] = page.next_before
    return Response(_page_json(strategy_id, page, rest), mimetype="application/json")


def _page_json(strategy_id: str, page: logs.Page, rest: dict[str, Any]) -> str:
    head = json.dumps({"strategy_id": strategy_id, "run_id": page.run_id})
    lines = ",".join([record_json(run.epoch, run.run_id, line) for run, line in page.lines])
    return f'{head[:-1]}, "logs": [{lines}], {json.dumps(rest)[1:]}\n'


def _cursor(query: dict[str, Any], name: str) -> cursor.Cursor | None:
    return None if query[name] is None else cursor.parse(query[name], name)


def _filter(query: dict[str, Any]) -> Filter:
    given: dict[str, Any] = {}
    if query["stream"] is not None:
        given["channels"] = filters.parse_channels(query["stream"])
    for name in ("since", "until"):
        if query[name] is not None:
            given[f"{name}_ms"] = filters.parse_time_ms(query[name], name)
    if given.get("since_ms", 0) > given.get("until_ms", math.inf):
        raise _invalid("since", "since is later than until: no line is between them")
    if query["grep"]:
        if "\n" in query["grep"]:
            raise _invalid("grep", "grep looks within a line: leave out the line break")
        given["grep"] = query["grep"].encode()
    if query["where"]:
        given["where"] = tuple(map(filters.parse_condition, query["where"]))
    return Filter(**given)


def _follow(strategy_id: str, query: dict[str, Any]) -> Response:
    refused = [name for name in _NOT_WHILE_FOLLOWING if name in request.args]
    if refused:
        message = f"follow goes on across runs; leave out {refused[0]}, or follow"
        raise _invalid(refused[0], message)
    resume_at = query["after"] or request.headers.get("Last-Event-ID")
    after = cursor.parse(resume_at, "after") if resume_at else None
    wanted = _filter(query)
    row = strategies.get(services(), caller(), strategy_id)
    if after is not None and after.epoch > row.epoch + 1:
        raise _invalid("after", f"the cursor {after} belongs to a run that has not begun")
    accepted = request.accept_mimetypes.best_match(list(FORMATS), EVENTS.mimetype)
    form = FORMATS[accepted]
    follower = Follower(services(), caller(), strategy_id, after, form, wanted)
    response = Response(stream_with_context(follower.events()), mimetype=form.mimetype)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    _bound(response)
    return response


def _invalid(field: str, message: str) -> InvalidParamsError:
    return InvalidParamsError(message, [Detail(field, message)])


def _bound(response: Response) -> None:
    """A reader that takes nothing at all for a minute is gone; it would be waited for for ever.
    What it sends in the meantime nobody reads, so next to nothing of it is kept."""
    socket = request.environ.get("gunicorn.socket")
    if socket is None:
        return
    # The kernel doubles what it is given and tells that.
    received_bytes = socket.getsockopt(SOL_SOCKET, SO_RCVBUF) // 2
    socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 0)
    socket.settimeout(_SEND_WITHIN_S)

    @response.call_on_close
    def unbound() -> None:
        socket.settimeout(None)
        socket.setsockopt(SOL_SOCKET, SO_RCVBUF, received_bytes)
