"""Services for every test: a Redis, a PostgreSQL, fresh databases with the real schema."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from support.api import Caller, Web, web
from support.owners import Rows
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer

from app import migrations
from app.database import Database
from app.models import Base


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis of all tests that do not break it."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def redis(redis_server: RedisServer, redis_url: str) -> Iterator[Redis]:
    """A client of the empty Redis."""
    assert redis_url
    with closing(redis_server.client()) as client:
        yield client


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis that this test may kill, freeze and restart."""
    servers: list[RedisServer] = []

    def start(*, persistent: bool = False) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(servers)}", persistent=persistent)
        servers.append(server.start())
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL server of all tests."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a database with the schema."""
    name = postgres.create_database()
    _migrate(_driver_url(postgres.url(name)))
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A SQLite database with the schema."""
    path = tmp_path / "sequence.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: PostgresServer, migrated_postgres: str) -> str:
    """A PostgreSQL database with the schema and without rows."""
    postgres.empty(migrated_postgres, Base.metadata.tables)
    return _driver_url(postgres.url(migrated_postgres))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with the schema, on each of the two servers in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Connections to that database."""
    with closing(Database(database_url)) as made:
        yield made


@pytest.fixture
def rows(database: Database) -> Rows:
    """A look at the rows."""
    return Rows(database)


@pytest.fixture
def web_process(database_url: str, redis_url: str) -> Iterator[Web]:
    """A web process on both."""
    with web(database_url, redis_url) as made:
        yield made


@pytest.fixture
def caller(web_process: Web) -> Caller:
    """A client's live key."""
    return web_process.caller()


def _driver_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _migrate(url: str) -> None:
    with closing(Database(url)) as database:
        migrations.upgrade(database)
