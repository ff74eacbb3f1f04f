"""The endpoint of the account."""

from typing import Any

from flask_smorest import Blueprint

from app.account import service
from app.account.schemas import OneAccountSchema
from app.api.auth import caller, requires_key
from app.api.context import services

blueprint = Blueprint("account", __name__, url_prefix="/v1/account", description="Account")


@blueprint.route("", methods=["GET"])
@requires_key
@blueprint.response(200, OneAccountSchema)
def get_account() -> Any:
    """Quotas with what is used of them, and the limits that hold for each strategy."""
    return {"account": service.account(services(), caller())}
