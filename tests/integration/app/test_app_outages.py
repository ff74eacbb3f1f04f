"""A part of the platform is away: a 503 that says what to do, and nothing is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.api import Caller, Web, error, web
from support.owners import Rows, claimed, claims_of
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from support.tools import free_port
from support.waiting import wait_until

from app.broker import Announcer
from app.database import Database
from app.models import Runner

QUICK_S = 4.0


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    started_at = time.monotonic()
    yield
    assert time.monotonic() - started_at < limit_s


@pytest.fixture
def own(own_redis: Callable[..., RedisServer]) -> RedisServer:
    return own_redis()


@pytest.fixture
def on_sqlite(sqlite_url: str, own: RedisServer) -> Iterator[Web]:
    with web(sqlite_url, own.url) as made:
        yield made


def unavailable(answer: object, words: str) -> None:
    found = error(answer, 503, "SERVICE_UNAVAILABLE")  # type: ignore[arg-type]
    assert words in found["message"]
    assert int(answer.headers["Retry-After"]) >= 1  # type: ignore[attr-defined]


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another connection writes to the SQLite file and does not come to an end."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class TestWithoutRedis:
    """Rows are the truth: what only concerns rows goes on working."""

    def test_everything_but_logs_works(self, on_sqlite: Web, own: RedisServer) -> None:
        caller = on_sqlite.caller()
        own.kill()
        row = caller.created(start_immediately=True)
        with within(4 * QUICK_S):
            assert row["status"] == "queued"
            assert caller.ask(row["strategy_id"], "stop")["status"] == "stopped"
            assert caller.ask(row["strategy_id"], "start")["status"] == "queued"
            assert caller.get().status_code == 200

    def test_logs_say_that_redis_is_away(self, on_sqlite: Web, own: RedisServer) -> None:
        caller = on_sqlite.caller()
        strategy_id = caller.created(start_immediately=True)["strategy_id"]
        claimed(claims_of(on_sqlite.services.database), strategy_id)
        own.kill()
        with within(QUICK_S):
            unavailable(caller.get(f"/strategies/{strategy_id}/logs"), "Redis does not answer")
        own.start()
        assert caller.logs(strategy_id)["logs"] == []

    def test_a_delete_is_done_whether_redis_answers_or_not(
        self, on_sqlite: Web, own: RedisServer
    ) -> None:
        caller = on_sqlite.caller()
        strategy_id = caller.created()["strategy_id"]
        own.kill()
        assert caller.delete(strategy_id).status_code == 200
        error(caller.get(f"/strategies/{strategy_id}"), 404, "NOT_FOUND")
        assert caller.created()["strategy_id"] != strategy_id

    def test_a_frozen_redis_holds_nobody_up_for_long(
        self, on_sqlite: Web, own: RedisServer
    ) -> None:
        caller = on_sqlite.caller()
        strategy_id = caller.created()["strategy_id"]
        own.freeze()
        try:
            with within(12):
                assert caller.ask(strategy_id, "start")["status"] == "queued"
        finally:
            own.thaw()

    def test_an_announcement_that_fails_says_so(self, on_sqlite: Web, own: RedisServer) -> None:
        announcer = Announcer(on_sqlite.settings)
        with closing(announcer):
            assert announcer.announce("id", "default")
            own.kill()
            with within(QUICK_S):
                assert not announcer.announce("id", "default")
            own.start()
            assert announcer.announce("id", "default")
            assert announcer.backlog("default") == 1
            assert announcer.backlog("kalshi") == 0


class TestWithoutDatabase:
    def test_a_locked_sqlite_is_503(self, on_sqlite: Web, sqlite_url: str) -> None:
        caller = on_sqlite.caller()
        strategy_id = caller.created()["strategy_id"]
        with locked(sqlite_url), within(8):
            answer = caller.post(f"/strategies/{strategy_id}/start")
            unavailable(answer, "the database does not answer")
        assert caller.ask(strategy_id, "start")["status"] == "queued"

    def test_no_postgresql_is_503(self, redis_url: str) -> None:
        url = f"postgresql+psycopg://sequence@127.0.0.1:{free_port()}/none"
        with web(url, redis_url) as one:
            caller = Caller(one.flask, "seq_live_" + "0" * 64)
            unavailable(caller.get(), "the database does not answer")

    def test_a_restarted_postgresql_is_found_again(
        self, postgres: PostgresServer, postgres_url: str, redis_url: str
    ) -> None:
        with web(postgres_url, redis_url) as one:
            caller = one.caller()
            postgres.cut_connections()
            assert caller.get().status_code == 200

    def test_a_transaction_that_stood_still_is_503(self, postgres_url: str, redis_url: str) -> None:
        with web(postgres_url, redis_url) as one:
            ended = ended_by_the_server(one.services.database)
            with pytest.raises(DBAPIError) as ours, one.services.database.reading() as session:
                session.execute(text("SELECT 1 / 0"))
            with one.flask.test_request_context():
                for error, status in ((ended, 503), (ours.value, 500)):
                    answer = one.flask.handle_user_exception(error)
                    assert one.flask.make_response(answer).status_code == status

    def test_a_database_without_a_schema_is_no_crash(
        self, tmp_path: object, redis_url: str
    ) -> None:
        with web(f"sqlite:///{tmp_path}/empty.db", redis_url) as one:
            caller = Caller(one.flask, "seq_live_" + "0" * 64)
            unavailable(caller.get(), "the database does not answer")


def ended_by_the_server(database: Database) -> DBAPIError:
    """What a transaction gets that did nothing for too long."""
    with pytest.raises(DBAPIError) as caught, database.transaction() as session:
        session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 1"))
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        wait_until(lambda: not _is_there(database, pid), "the server ends it")
        session.execute(text("SELECT 1"))
    return caught.value


def _is_there(database: Database, pid: int | None) -> bool:
    with database.reading() as session:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        return bool(session.scalar(query, {"pid": pid}))


class TestHealth:
    def test_live_needs_nothing(self, on_sqlite: Web, own: RedisServer) -> None:
        own.kill()
        answer = on_sqlite.flask.test_client().get("/v1/health/live")
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})

    def test_ready_needs_a_runner(self, on_sqlite: Web) -> None:
        client, rows = on_sqlite.flask.test_client(), Rows(on_sqlite.services.database)
        answer = client.get("/v1/health/ready")
        assert answer.status_code == 503
        assert answer.json["checks"] == {
            "database": "ok",
            "redis": "ok",
            "runner": "no live runner; start one",
        }
        rows.add_runner("silent", last_heartbeat_at=rows.now() - 11)
        rows.add_runner("stopping", is_stopping=True)
        assert client.get("/v1/health/ready").status_code == 503
        rows.add_runner("live")
        answer = client.get("/v1/health/ready")
        assert (answer.status_code, answer.json["status"]) == (200, "ok")
        assert rows.count(Runner) == 3

    def test_ready_names_what_is_away(self, on_sqlite: Web, own: RedisServer) -> None:
        client = on_sqlite.flask.test_client()
        own.kill()
        with within(QUICK_S):
            answer = client.get("/v1/health/ready")
        assert answer.status_code == 503
        assert answer.json["checks"]["redis"] == "does not answer (ConnectionError)"
        assert answer.json["checks"]["database"] == "ok"
        with web("sqlite:////proc/no-such-file.db", own.url) as one:
            checks = one.flask.test_client().get("/v1/health/ready").json["checks"]
        assert checks["database"] == checks["runner"] == "does not answer (OperationalError)"


def test_a_read_does_not_wait_for_a_writer(sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as database, database.transaction() as writer:
        assert writer.connection()
        with within(1):
            database.ping()
