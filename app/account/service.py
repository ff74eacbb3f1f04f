"""What a client may know of its own account."""

from typing import Any

from app.account import quotas, retention
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
        kept = retention.kept(session, caller.client_id)
    most = retention.limits(settings, client)
    return {
        "client": caller.client_code,
        "is_sandbox": caller.is_sandbox,
        "scopes": sorted(caller.scopes),
        "quotas": {name: {"limit": limits[name] or None, "used": used[name]} for name in used},
        "log_retention": {name: {"limit": most[name] or None, "used": kept[name]} for name in kept},
        "limits": {
            "artifact_max_bytes": settings.artifact_max_bytes,
            "env_max_bytes": MAX_VARIABLES_BYTES,
            "secrets_max_bytes": MOST_BYTES,
            "versions_kept": settings.versions_kept,
            "log_runs_kept": most["runs"],
            "log_kept_days": most["days"],
            "log_archive_max_bytes": most["archive_bytes"],
            "requests_per_second": settings.rate_limit_qps or None,
        },
    }
