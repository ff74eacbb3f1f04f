"""A database whose clock is the test's: nothing sleeps, and hours pass in a step.

The statements are the real ones. On SQLite the function that they read the time from is replaced on
each connection; on PostgreSQL another one of the same name is found first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

_EPOCH_JULIAN = 2440587.5
_START_S = 1_800_000_000.0


@dataclass
class Time:
    """The world's time, and how far the database's clock is from it, in seconds."""

    now_s: float = _START_S
    database_off_s: float = 0.0

    @property
    def database_s(self) -> float:
        """Unix seconds by the database's clock."""
        return self.now_s + self.database_off_s


def drive_sqlite(engine: Engine, time: Time) -> None:
    """Give every connection the test's time."""

    def julianday(*_: str) -> float:
        return time.database_s / 86400.0 + _EPOCH_JULIAN

    def replace(connection: Any, _record: Any) -> None:
        connection.create_function("julianday", -1, julianday)
        # Nobody cuts the power here, and on a busy disk each commit would wait for it.
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "connect", replace)
    engine.dispose()


def drive_postgresql(engine: Engine, time: Time) -> None:
    """The same; the time is handed to each connection when a transaction takes it."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS model")
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION model.clock_timestamp() RETURNS timestamptz STABLE"
            " LANGUAGE sql AS $$ SELECT to_timestamp(current_setting('model.now')::float8) $$"
        )

    def tell(connection: Any) -> None:
        connection.exec_driver_sql("SET LOCAL search_path = model, public, pg_catalog")
        connection.exec_driver_sql(f"SET LOCAL model.now = '{time.database_s!r}'")

    event.listen(engine, "begin", tell)
    engine.dispose()
