"""Run by Alembic for each command; the engine comes from `app.migrations.alembic_config`."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from app.models import Base
from market.store import models as _market  # noqa: F401 - its tables are part of the schema


def _run() -> None:
    engine = context.config.attributes["engine"]
    with engine.connect() as connection, _without_cascades(connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            # SQLite alters a table by copying it.
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def _without_cascades(connection: Connection) -> Iterator[None]:
    """On SQLite the copied table is dropped, which would take along all that refers to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # Past SQLAlchemy, which would begin a transaction: within one the pragma does nothing.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - for the type checker
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
        broken = driver.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys = ON")
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise RuntimeError(f"rows of {tables} refer to what is not there; restore the backup")


_run()
