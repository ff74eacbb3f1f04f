"""What each connection is set to: on SQLite nothing of it is the default."""

from __future__ import annotations

import threading

from sqlalchemy import text
from support.waiting import wait_until

from app.clients.service import ensure_client
from app.database import Database
from app.models import Client


def test_sqlite_writes_ahead_waits_and_holds_references(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    wanted = {"journal_mode": "wal", "busy_timeout": 5000, "foreign_keys": 1, "synchronous": 2}
    with database.reading() as session:
        found = {name: session.scalar(text(f"PRAGMA {name}")) for name in wanted}
    database.close()
    assert found == wanted


def test_a_reader_waits_for_nobody_and_a_writer_for_its_turn(database: Database) -> None:
    """The second writer of the same row; on SQLite, of anything."""
    second = threading.Thread(target=_write, args=(database, "second"))
    with database.transaction() as session:
        client_id = ensure_client(session, "acme").client_id
        session.flush()
        second.start()
        with database.reading() as reading:
            assert reading.get(Client, client_id) is None
    second.join(15)
    assert not second.is_alive()
    wait_until(lambda: _codes(database) == {"acme", "second"}, "both are there")


def _write(database: Database, code: str) -> None:
    with database.transaction() as session:
        ensure_client(session, code)


def _codes(database: Database) -> set[str]:
    with database.reading() as session:
        return {client.code for client in session.query(Client)}
