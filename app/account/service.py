"""What a client may know of its own account."""

from typing import Any

from app.account import quotas
from app.api.context import Services
from app.clients.models import Client
from app.clients.service import Principal
from app.secrets.layers import MOST_BYTES
from app.strategies.schemas import MAX_VARIABLES_BYTES


def account(services: Services, caller: Principal) -> dict[str, Any]:
    """The caller's quotas with what is used of them, and the limits of each strategy."""
    settings = services.settings
    with services.database.reading() as session:
        client = session.get_one(Client, caller.client_id)
        limits, used = quotas.limits(settings, client), quotas.used(session, caller.client_id)
    return {
        "client": caller.client_code,
        "is_sandbox": caller.is_sandbox,
        "scopes": sorted(caller.scopes),
        "quotas": {name: {"limit": limits[name] or None, "used": used[name]} for name in used},
        "limits": {
            "artifact_max_bytes": settings.artifact_max_bytes,
            "env_max_bytes": MAX_VARIABLES_BYTES,
            "secrets_max_bytes": MOST_BYTES,
            "versions_kept": settings.versions_kept,
            "log_runs_kept": _own(client.log_runs_kept, settings.log_runs_kept),
            "log_kept_days": _own(client.log_kept_days, settings.log_kept_days),
            "log_archive_max_bytes": _own(
                client.log_archive_max_bytes, settings.log_archive_max_bytes
            ),
            "requests_per_second": settings.rate_limit_qps or None,
        },
    }


def _own(value: float | None, general: float) -> float:
    return general if value is None else value
