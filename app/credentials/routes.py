"""The endpoints of venue keys: parse, call one service function, serialise."""

from typing import Any

from flask_smorest import Blueprint

from app.api.auth import caller, requires, requires_key
from app.api.context import services
from app.clients.service import Scope
from app.credentials import service
from app.credentials.schemas import (
    CredentialBodySchema,
    CredentialListSchema,
    OneCredentialSchema,
    RemovedSchema,
)
from app.credentials.venues import VENUE_KEYS

blueprint = Blueprint(
    "credentials", __name__, url_prefix="/v1/credentials", description="Keys of venues"
)


@blueprint.route("", methods=["GET"])
@requires_key
@blueprint.response(200, CredentialListSchema)
def list_credentials() -> Any:
    """The venues that are connected in the caller's mode, and those that can be."""
    rows = service.list_all(services(), caller())
    return {"credentials": rows, "venues": list(VENUE_KEYS)}


@blueprint.route("/<venue>", methods=["GET"])
@requires_key
@blueprint.response(200, OneCredentialSchema)
def get_credential(venue: str) -> Any:
    """One of them; the key itself is never shown again."""
    return {"credential": service.get(services(), caller(), venue)}


@blueprint.route("/<venue>", methods=["PUT"])
@requires(Scope.ADMIN)
@blueprint.arguments(CredentialBodySchema)
@blueprint.response(200, OneCredentialSchema)
def put_credential(body: dict[str, Any], venue: str) -> Any:
    """Seal and store a venue's key, in place of the one before."""
    return {"credential": service.store(services(), caller(), venue, body)}


@blueprint.route("/<venue>", methods=["POST"])
@requires(Scope.ADMIN)
@blueprint.arguments(CredentialBodySchema)
@blueprint.response(201, OneCredentialSchema)
def create_credential(body: dict[str, Any], venue: str) -> Any:
    """The same as PUT, for clients that create."""
    return {"credential": service.store(services(), caller(), venue, body)}


@blueprint.route("/<venue>", methods=["DELETE"])
@requires(Scope.ADMIN)
@blueprint.response(200, RemovedSchema)
def remove_credential(venue: str) -> Any:
    """Forget a venue's key."""
    service.remove(services(), caller(), venue)
    return {"venue": venue, "removed": True}
