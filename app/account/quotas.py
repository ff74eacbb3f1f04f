"""Quotas: how much of each thing a client may have, in both of its modes together."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.models import Client
from app.clients.service import lock_client
from app.deployments.models import StrategyVersion
from app.errors import AppError, Detail
from app.settings import Settings
from app.strategies.models import Strategy
from app.strategies.states import DesiredState

NAMES = {
    "strategies": "strategies",
    "running": "strategies that run or want to",
    "cpu_millis": "cpu_millis of strategies that run or want to",
    "memory_mb": "memory_mb of strategies that run or want to",
    "artifact_bytes": "bytes of artifacts, those of kept versions included",
    "env_bytes": "bytes of environment variables, names and values",
    "secret_bytes": "bytes of secrets, as they are sealed",
}
"""Each quota, with what it counts."""


class QuotaExceededError(AppError):
    """More than a client may have; the message has both numbers."""

    status = 403
    code = "QUOTA_EXCEEDED"

    def __init__(self, name: str, limit: int, wanted: int) -> None:
        message = (
            f"your quota is {limit} {NAMES[name]}, and this would make it {wanted}: "
            "give some back, or ask the operator for more"
        )
        super().__init__(message, [Detail(name, f"limit {limit}, wanted {wanted}")])


def limits(settings: Settings, client: Client) -> dict[str, int]:
    """The limit of each quota of this client; 0 is none."""
    general = {
        "strategies": settings.quota_strategies,
        "running": settings.quota_running,
        "cpu_millis": settings.quota_cpu_millis,
        "memory_mb": settings.quota_memory_mb,
        "artifact_bytes": settings.quota_artifact_bytes,
        "env_bytes": settings.quota_env_bytes,
        "secret_bytes": settings.quota_secret_bytes,
    }
    return {name: client.quotas.get(name, limit) for name, limit in general.items()}


def used(session: Session, client_id: str) -> dict[str, int]:
    """What a client has of each."""
    owned = (Strategy.client_id == client_id) & Strategy.deleted_at.is_(None)
    wanted = owned & (Strategy.desired_state == DesiredState.RUNNING)
    env_bytes = func.coalesce(func.sum(Strategy.env_bytes), 0)
    secret_bytes = func.coalesce(func.sum(Strategy.secret_bytes), 0)
    every = session.execute(select(func.count(), env_bytes, secret_bytes).where(owned)).one()
    cpu_millis = func.coalesce(func.sum(Strategy.resources["cpu_millis"].as_integer()), 0)
    memory_mb = func.coalesce(func.sum(Strategy.resources["memory_mb"].as_integer()), 0)
    row = session.execute(select(func.count(), cpu_millis, memory_mb).where(wanted)).one()
    shared = (
        select(StrategyVersion.artifact_sha256, func.max(StrategyVersion.size_bytes).label("size"))
        .join(Strategy, Strategy.strategy_id == StrategyVersion.strategy_id)
        .where(owned)
        .group_by(StrategyVersion.artifact_sha256)
        .subquery()
    )
    artifacts = session.scalars(select(func.coalesce(func.sum(shared.c.size), 0))).one()
    numbers = (every[0], row[0], row[1], row[2], artifacts, every[1], every[2])
    return {name: int(number) for name, number in zip(NAMES, numbers, strict=True)}


@contextmanager
def held(services: Services, session: Session, client_id: str) -> Iterator[None]:
    """Hold whatever is done to the client's strategies in the block to its quotas.

    Around everything else of a transaction: it locks the client's row, so that two requests which
    are each within a quota are not together above it. Whoever is above one, for it was lowered, may
    do all that does not add to it.

    Raises:
        QuotaExceededError: the block would take the client above one.
    """
    client = session.get(Client, client_id)
    found = {} if client is None else limits(services.settings, client)
    if not any(found.values()):
        yield
        return
    lock_client(session, client_id)
    before = used(session, client_id)
    yield
    session.flush()
    _hold(found, before, used(session, client_id))


def _hold(found: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int]) -> None:
    for name, limit in found.items():
        if limit and after[name] > limit and after[name] > before[name]:
            raise QuotaExceededError(name, limit, after[name])
