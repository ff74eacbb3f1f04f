"""What each connection is set to: on SQLite nothing of it is the default."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import OperationalError
from support.postgres_server import PostgresServer
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


class TestLookUp:
    CLIENT = select(Client.client_id, Client.created_at, Client.quotas).where(
        Client.code == bindparam("code")
    )

    def test_it_reads_what_a_session_reads(self, database: Database) -> None:
        with database.transaction() as session:
            ensure_client(session, "acme").quotas = {"running": 3}
            ensure_client(session, "other")
        with database.reading() as session:
            for code in ("acme", "other"):
                row = session.execute(self.CLIENT, {"code": code}).one()
                found = database.look_up(self.CLIENT, {"code": code})
                assert found == list(row)
                assert found is not None
                assert [type(value) for value in found] == [type(value) for value in row]

    def test_what_is_not_there_is_none(self, database: Database) -> None:
        assert database.look_up(self.CLIENT, {"code": "nobody"}) is None

    def test_it_sees_what_was_written_since(self, database: Database) -> None:
        assert database.look_up(self.CLIENT, {"code": "acme"}) is None
        _write(database, "acme")
        assert database.look_up(self.CLIENT, {"code": "acme"}) is not None

    def test_it_asks_again_when_the_server_ended_its_connections(
        self, postgres: PostgresServer, postgres_url: str
    ) -> None:
        database = Database(postgres_url)
        _write(database, "acme")
        for _ in range(3):
            assert database.look_up(self.CLIENT, {"code": "acme"}) is not None
            postgres.cut_connections()
        assert database.look_up(self.CLIENT, {"code": "acme"}) is not None
        database.close()

    def test_what_the_driver_cannot_do_is_an_error_of_the_database(
        self, database: Database
    ) -> None:
        broken = select(Client.client_id).where(text("nowhere = 1"))
        for _ in range(2):
            with pytest.raises(OperationalError) as caught:
                database.look_up(broken, {})
            assert not caught.value.connection_invalidated
        assert database.look_up(self.CLIENT, {"code": "nobody"}) is None


def _write(database: Database, code: str) -> None:
    with database.transaction() as session:
        ensure_client(session, code)


def _codes(database: Database) -> set[str]:
    with database.reading() as session:
        return {client.code for client in session.query(Client)}
