"""Run by Alembic for each command; the engine comes from `app.migrations.alembic_config`."""

from alembic import context

from app.models import Base
from market.store import models as _market  # noqa: F401 - its tables are part of the schema


def _run() -> None:
    engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            # SQLite alters a table by copying it.
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


_run()
