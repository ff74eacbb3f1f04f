"""The end of a deleted strategy: by the web tier when it does not run, else by its runner."""

from sqlalchemy.orm import Session

from app.artifacts import repository as artifacts
from app.strategies import repository
from app.strategies.models import Strategy


def purge(session: Session, row: Strategy) -> list[str]:
    """Remove everything the database holds of a strategy; returns the runs whose logs remain."""
    runs = repository.run_ids(session, row.strategy_id)
    sha256 = row.artifact_sha256
    session.expunge(row)
    repository.purge(session, row.strategy_id)
    artifacts.collect(session, sha256)
    return runs
