"""The endpoints of keys: parse, call one service function, serialise."""

from types import SimpleNamespace
from typing import Any

from flask_smorest import Blueprint

from app.api.auth import caller, requires
from app.api.context import services
from app.api_keys import service
from app.api_keys.schemas import (
    KeyListSchema,
    NewKeyAnswerSchema,
    NewKeySchema,
    RevokedSchema,
    RotateSchema,
)
from app.clients.models import ApiKey
from app.clients.service import NewKey, Scope

blueprint = Blueprint("api_keys", __name__, url_prefix="/v1/api_keys", description="API keys")


@blueprint.route("", methods=["POST"])
@requires(Scope.ADMIN)
@blueprint.arguments(NewKeySchema)
@blueprint.response(201, NewKeyAnswerSchema)
def create_key(body: dict[str, Any]) -> Any:
    """Make a key; it is in this answer and never again."""
    return _answer(service.create(services(), caller(), body))


@blueprint.route("", methods=["GET"])
@requires(Scope.ADMIN)
@blueprint.response(200, KeyListSchema)
def list_keys() -> Any:
    """Every valid key of the client, newest first."""
    return {"api_keys": service.list_all(services(), caller())}


@blueprint.route("/<key_id>/rotate", methods=["POST"])
@requires(Scope.ADMIN)
@blueprint.arguments(RotateSchema, required=False)
@blueprint.response(200, NewKeyAnswerSchema)
def rotate_key(body: dict[str, Any], key_id: str) -> Any:
    """Make a key like this one; the old one is valid for some more time."""
    grace_s = body.get("grace_secs") if body else None
    return _answer(service.rotate(services(), caller(), key_id, grace_s))


@blueprint.route("/<key_id>", methods=["DELETE"])
@requires(Scope.ADMIN)
@blueprint.response(200, RevokedSchema)
def revoke_key(key_id: str) -> Any:
    """End a key at once."""
    service.revoke(services(), caller(), key_id)
    return {"key_id": key_id, "revoked": True}


def _answer(new: NewKey) -> dict[str, Any]:
    columns = {column.key: getattr(new.row, column.key) for column in ApiKey.__table__.columns}
    return {"api_key": SimpleNamespace(**columns, key=new.raw)}
