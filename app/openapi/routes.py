"""The specification and its page, open to everybody: they say nothing of anybody."""

from flask import Blueprint, Response, current_app

from app.openapi.page import PAGE, POLICY
from app.openapi.specification import specification, text_of

blueprint = Blueprint("openapi", __name__, url_prefix="/v1")

_MADE = "openapi"
_OPEN = {"Cache-Control": "no-cache"}


@blueprint.get("/openapi.json")
def read_specification() -> Response:
    """OpenAPI 3.1."""
    made = current_app.extensions
    if _MADE not in made:
        made[_MADE] = text_of(specification(current_app))
    return Response(made[_MADE], mimetype="application/json", headers=_OPEN)


@blueprint.get("/docs")
def read_page() -> Response:
    """The same for people; it loads nothing from any other host."""
    return Response(PAGE, mimetype="text/html", headers=_OPEN | {"Content-Security-Policy": POLICY})
