"""The stream's endpoints: the handshake, and tickets for it."""

# flask-smorest's decorators are untyped.
# mypy: disallow-untyped-decorators=False

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.api.auth import REQUIRES_KEY, caller, requires_key
from app.api.context import services
from app.api.envelope import answer
from app.api.schema import RequestSchema
from app.clients.service import Principal, Scope, valid_keys
from app.errors import AppError, BadRequestError, UnauthorizedError, UnavailableError
from market.stream import tickets
from market.web.context import market

blueprint = Blueprint("stream", __name__, url_prefix="/v1", description="Stream")
# Werkzeug keeps handshakes apart from requests: the same view is for both.
blueprint.record(
    lambda state: state.app.add_url_rule(
        "/v1/stream", endpoint="stream.open_stream", methods=["GET"], websocket=True
    )
)


class UpgradeRequiredError(AppError):
    """A plain request where a WebSocket handshake is needed."""

    status = 426
    code = "UPGRADE_REQUIRED"


class StreamQuerySchema(RequestSchema):
    """Query of `GET /v1/stream`: a ticket in place of a key in the header."""

    ticket = fields.String(load_default=None)


class FrameSchema(Schema):
    """A message of the stream: news of a channel, an ack, or an error."""

    channel = fields.String()
    data = fields.Raw(metadata={"type": "object"})
    subscribed = fields.List(fields.String())
    unsubscribed = fields.List(fields.String())
    rejected = fields.List(fields.String())
    reasons = fields.Dict(keys=fields.String(), values=fields.String())
    error = fields.Raw(metadata={"type": "object"})


class TicketSchema(Schema):
    """A ticket for `GET /v1/stream?ticket=`, for one connection within so many seconds."""

    ticket = fields.String()
    expires_in_s = fields.Integer()


def _with_ticket(view: Callable[..., Any]) -> Callable[..., Any]:
    """A key with the scope `read`, or a ticket that such a key has got."""
    with_key = requires_key(view)

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        ticket = request.args.get("ticket")
        if ticket is None:
            return with_key(*args, **kwargs)
        g.principal = _redeemed(ticket)
        services().rate.take(g.principal.key_id)
        return view(*args, **kwargs)

    setattr(wrapped, REQUIRES_KEY, Scope.READ)
    return wrapped


@blueprint.route("/stream", methods=["GET"])
@_with_ticket
@blueprint.arguments(StreamQuerySchema, location="query")
@blueprint.response(101, FrameSchema)
def open_stream(_query: dict[str, Any]) -> Any:
    """The WebSocket of prices, books, orders and fills; the answer is its frames."""
    handshake = ServerProtocol()
    accepted = handshake.accept(Request(request.path, Headers(request.headers.items())))
    if accepted.status_code == 426:
        response = answer(UpgradeRequiredError("open this with a WebSocket client"))
        response.headers["Upgrade"] = "websocket"
        return response
    if accepted.status_code != 101:
        raise BadRequestError(f"no handshake of a WebSocket: {handshake.handshake_exc}")
    if "gunicorn.socket" not in request.environ:
        raise UnavailableError("this server cannot switch protocols; run it with gunicorn")
    return _Switched(accepted.serialize(), market().streams.admit(caller()), caller())


@blueprint.route("/ws/ticket", methods=["GET"])
@requires_key
@blueprint.response(200, TicketSchema)
def get_ticket() -> Any:
    """A ticket for one connection to the stream, within 30 s."""
    ticket = tickets.issue(services().redis, caller())
    return {"ticket": ticket, "expires_in_s": tickets.TICKET_S}, {"Cache-Control": "no-store"}


class _Switched(Response):
    """Takes the socket over when the server asks for the answer, and keeps it to the end."""

    def __init__(self, greeting: bytes, connection_id: str, who: Principal) -> None:
        super().__init__(status=101)
        self._greeting = greeting
        self._place = (connection_id, who)
        self._streams = market().streams

    def __call__(self, environ: Any, _start_response: Any) -> Any:
        """Serve, then tell gunicorn that nothing is left to answer and the socket is done with."""
        connection_id, who = self._place
        self._streams.serve(connection_id, environ["gunicorn.socket"], self._greeting, who)
        raise StopIteration


def _redeemed(ticket: str) -> Principal:
    principal = tickets.redeem(services().redis, ticket)
    with services().database.reading() as session:
        if not valid_keys(session, [principal.key_id]):
            raise UnauthorizedError("the key of this ticket was revoked, or ran out")
    return principal
