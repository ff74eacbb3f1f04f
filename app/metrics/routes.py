"""`GET /metrics`, for whoever has METRICS_TOKEN.

Not for the host itself without it: strategies reach the API from its loopback address as well.
"""

from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from app.api.context import services
from app.errors import ForbiddenError, UnauthorizedError
from app.metrics.access import holds
from app.metrics.platform import PlatformState
from app.metrics.requests import RequestCounts

blueprint = Blueprint("metrics", __name__)

COUNTS = "request_counts"
"""Where the app keeps them among its extensions."""


@blueprint.get("/metrics")
def read_metrics() -> Response:
    """Prometheus' text format."""
    token = services().settings.metrics_token
    if not token:
        raise ForbiddenError("metrics are closed; set METRICS_TOKEN, and send it as a bearer token")
    if not holds(request.headers.get("Authorization", ""), token):
        services().attempts.failed(request.remote_addr or "")
        raise UnauthorizedError("send METRICS_TOKEN as `Authorization: Bearer ...`")
    counts: RequestCounts = current_app.extensions[COUNTS]
    now = CollectorRegistry()
    now.register(PlatformState(services()))
    text = generate_latest(counts.registry) + generate_latest(now)
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
