"""One engine per process and its two kinds of transaction.

On SQLite a writer says BEGIN IMMEDIATE: it waits for its turn at the start, where waiting is safe,
instead of failing in the middle when a reader wants to become a writer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine, Select, create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from app.database.lookup import Lookup

_BUSY_TIMEOUT_S = 5.0
# Clients wait for 30 s. A crowd at one row, which it has to enter one by one, is no outage.
_POOL_TIMEOUT_S = 15.0
_READ_ONLY = "sequence_read_only"
_ALONE_POOL_SIZE = 4
_POSTGRESQL = {
    "connect_timeout": 5,
    # A host that vanished is noticed by us ...
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # ... and by the server, and a process that stands still within a transaction as well: the rows
    # that it holds locked are those that others have to take over.
    "options": "-c idle_in_transaction_session_timeout=4s -c tcp_keepalives_idle=5"
    " -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=10000",
}


class Database:
    """Connections to one database.

    Errors of the database pass through as `sqlalchemy.exc.OperationalError` and its kin; the API
    turns them into 503, a runner keeps its leases' deadlines and tries again.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.engine = _create_engine(url, pool_size)
        self._reading = self.engine.execution_options(**{_READ_ONLY: True})
        self._alone = _alone(self.engine)
        self._lookups: dict[Select[Any], Lookup] = {}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that writes: committed at the end of the block, rolled back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads."""
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    def look_up(
        self, statement: Select[Any], parameters: Mapping[str, Any]
    ) -> Sequence[Any] | None:
        """The first row of a statement that is made once and asked often, or None."""
        lookup = self._lookups.get(statement)
        if lookup is None:
            lookup = self._lookups[statement] = Lookup(statement, self._alone)
        return lookup.one(parameters)

    def ping(self) -> None:
        """Raise unless the database answers a query."""
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self._alone.dispose()


def _create_engine(url: str, pool_size: int) -> Engine:
    if not url.startswith("sqlite"):
        return _create_postgresql(url, pool_size)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=_POOL_TIMEOUT_S,
        hide_parameters=True,
        json_deserializer=_read_json,
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_postgresql(url: URL | str, pool_size: int, *, alone: bool = False) -> Engine:
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0 if alone else pool_size,
        pool_timeout=_POOL_TIMEOUT_S,
        # Whoever asks alone may ask again, should the connection be broken.
        pool_pre_ping=not alone,
        pool_reset_on_return=None if alone else "rollback",
        # An error's text must not quote what was to be stored.
        hide_parameters=True,
        json_deserializer=_read_json,
        connect_args={**_POSTGRESQL, "autocommit": alone},
    )


def _alone(engine: Engine) -> Engine:
    """An engine for the same database, for single statements that nobody has to begin or end.

    On SQLite it is the same one; the driver's own mode there. To change a connection of PostgreSQL
    from one mode to the other and back, for each statement, takes longer than the statement.
    """
    if engine.dialect.name == "sqlite":
        return engine
    return _create_postgresql(engine.url, _ALONE_POOL_SIZE, alone=True)


def _read_json(text: str | bytes) -> Any:
    # Most settings of most strategies are empty, and there are a dozen of them in a row.
    return {} if text in ("{}", b"{}") else json.loads(text)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late, so it is off and `_begin_sqlite` says it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # An epoch must not be forgotten by a power cut: a commit is on disk when it returns (0.3 ms).
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
