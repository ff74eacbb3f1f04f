"""Health endpoints, the only ones without a key."""

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify
from flask_smorest import Blueprint
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.api.context import services
from app.runners import repository as runners

blueprint = Blueprint("health", __name__, url_prefix="/v1/health", description="Health")


@blueprint.route("/live", methods=["GET"])
def live() -> Any:
    """200 as long as this process answers."""
    return jsonify({"status": "ok"})


@blueprint.route("/ready", methods=["GET"])
def ready() -> Response:
    """200 when database, Redis and at least one runner are there, else 503 with what is not."""
    checks = {"database": _database, "redis": _redis, "runner": _runner}
    found = {name: _result(check) for name, check in checks.items()}
    is_ready = all(result == "ok" for result in found.values())
    response = jsonify({"status": "ok" if is_ready else "not_ready", "checks": found})
    response.status_code = 200 if is_ready else 503
    return response


def _result(check: Callable[[], str]) -> str:
    try:
        return check()
    except (SQLAlchemyError, RedisError) as error:
        return f"does not answer ({type(error).__name__})"


def _database() -> str:
    services().database.ping()
    return "ok"


def _redis() -> str:
    services().redis.ping()
    return "ok"


def _runner() -> str:
    with services().database.reading() as session:
        return "ok" if runners.live_queues(session) else "no live runner; start one"
