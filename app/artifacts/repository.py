"""Queries about artifacts."""

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.artifacts.models import Artifact
from app.database import database_now
from app.deployments.models import StrategyVersion
from app.strategies.models import Strategy


def store(session: Session, sha256: str, content: bytes) -> None:
    """Keep these bytes under their hash until the transaction ends, whoever collects meanwhile;
    nothing else happens when they are there already."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(Artifact).values(
        sha256=sha256, content=content, created_at=database_now()
    )
    held = select(Artifact.sha256).where(Artifact.sha256 == sha256)
    while True:
        session.execute(insert.on_conflict_do_nothing())
        # They may have been there and be collected by now: only a lock says that they stay.
        if session.scalar(held.with_for_update(read=True, key_share=True)) is not None:
            return


def load(session: Session, sha256: str) -> bytes:
    """The bytes under this hash."""
    return session.scalars(select(Artifact.content).where(Artifact.sha256 == sha256)).one()


def collect(session: Session, sha256: str) -> None:
    """Remove the artifact unless a version of some strategy still refers to it."""
    # Locked first, so that the look below sees whoever was just about to refer to it, or to stop.
    session.execute(select(Artifact.sha256).where(Artifact.sha256 == sha256).with_for_update())
    referred = exists().where(Strategy.artifact_sha256 == sha256)
    kept = exists().where(StrategyVersion.artifact_sha256 == sha256)
    session.execute(delete(Artifact).where(Artifact.sha256 == sha256, ~referred, ~kept))
