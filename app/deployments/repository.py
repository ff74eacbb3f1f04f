"""Queries about versions."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, defer

from app.artifacts import repository as artifacts
from app.database import database_now
from app.deployments.models import Origin, StrategyVersion
from app.runners import repository as runners
from app.strategies.definition import defining, env_bytes, secret_bytes
from app.strategies.models import Strategy
from app.strategies.placement import choose_queue

_SEALED = [
    defer(getattr(StrategyVersion, f"{slot}_{part}"))
    for slot in ("secrets", "sequence_api_key")
    for part in ("ciphertext", "nonce", "wrapped_key")
] + [defer(StrategyVersion.secrets_changes)]


def add(
    session: Session, row: Strategy, origin: Origin, actor: str, source_version: int | None = None
) -> None:
    """Make what the locked row now holds its next version, which has not run yet."""
    row.version += 1
    row.version_started_at = None
    row.env_bytes, row.secret_bytes = env_bytes(row), secret_bytes(row)
    session.flush()
    session.add(
        StrategyVersion(
            strategy_id=row.strategy_id,
            version=row.version,
            origin=origin,
            source_version=source_version,
            actor=actor,
            created_at=database_now(),
            **defining(row),
        )
    )
    session.flush()


def find(session: Session, strategy_id: str, version: int) -> StrategyVersion | None:
    """The version, or None when it never was or is no longer kept."""
    return session.get(StrategyVersion, (strategy_id, version))


def hold(session: Session, strategy_id: str, version: int) -> StrategyVersion | None:
    """The same, to be copied: until the transaction ends nobody forgets it, collects its artifact,
    or seals it for another key."""
    return session.get(
        StrategyVersion,
        (strategy_id, version),
        with_for_update={"read": True},
        populate_existing=True,
    )


def page(
    session: Session, strategy_id: str, *, before: int | None, limit: int
) -> Sequence[StrategyVersion]:
    """The newest versions of a smaller number than `before`."""
    query = select(StrategyVersion).where(StrategyVersion.strategy_id == strategy_id)
    if before is not None:
        query = query.where(StrategyVersion.version < before)
    newest = query.options(*_SEALED).order_by(StrategyVersion.version.desc())
    return session.scalars(newest.limit(limit)).all()


def oldest(session: Session, strategy_id: str) -> int | None:
    """The smallest number that is kept."""
    return session.scalar(
        select(func.min(StrategyVersion.version)).where(StrategyVersion.strategy_id == strategy_id)
    )


def forget_older(session: Session, strategy_id: str, last: int) -> None:
    """Remove the versions up to number `last`, and the artifacts that nobody needs then.

    For a transaction that refers to no artifact itself: two that each wait for what the other has
    just come to need would stop one another.
    """
    which = (StrategyVersion.strategy_id == strategy_id) & (StrategyVersion.version <= last)
    for sha256 in sorted(_forget(session, which)):
        artifacts.collect(session, sha256)


def forget_all(session: Session, strategy_id: str) -> set[str]:
    """Remove every version of a strategy; the hashes of the artifacts that they had."""
    return _forget(session, StrategyVersion.strategy_id == strategy_id)


def _forget(session: Session, which: ColumnElement[bool]) -> set[str]:
    shas = session.scalars(select(StrategyVersion.artifact_sha256).where(which).distinct()).all()
    session.execute(delete(StrategyVersion).where(which))
    return set(shas)


def bring_back(
    session: Session, row: Strategy, source: StrategyVersion, origin: Origin, actor: str
) -> None:
    """Make the content of an earlier version the next version of the locked row."""
    for name, value in defining(source).items():
        setattr(row, name, value)
    wanted = row.placement.get("latency_target", [])
    row.latency_target = choose_queue(wanted, runners.live_queues(session))
    row.updated_at = database_now()
    row.create_fingerprint = None
    add(session, row, origin, actor, source.version)
