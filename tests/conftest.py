"""Services for every test: a Redis, a PostgreSQL, fresh databases with the real schema."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from redis import Redis
from sqlalchemy import text
from support.api import Caller, Web, web
from support.market_thread import market_thread
from support.owners import Rows
from support.postgres_server import PostgresServer
from support.redis_server import RedisServer
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from app import migrations
from app.database import Database
from app.models import Base
from market.service.floor import Floor
from market.store import models as _market  # noqa: F401 - its tables are emptied as well

# No test is timed: a slow machine is no fault of the code.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")

_ONE_AFTER_THE_OTHER = ("tests/hostile/", "tests/integration/sandbox/")


class _ByFile(LoadFileScheduling):
    """Each file to one worker, and to the same one all those that look at the whole host.

    Not by the mark `xdist_group`: pytest-xdist 3.8 loses it without a word under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "host" if nodeid.startswith(_ONE_AFTER_THE_OTHER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return _ByFile(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name a second worker whose tests look at the host: what it does, the first takes for a leak.

    Raises:
        OSError: there is one (its name is taken).
    """
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith(_ONE_AFTER_THE_OTHER):
        _be_the_only_worker(os.environ["PYTEST_XDIST_TESTRUNUID"])


@cache
def _be_the_only_worker(test_run: str) -> socket.socket:
    """A name that this process keeps to its end."""
    name = socket.socket(socket.AF_UNIX)
    name.bind(f"\0sequence-tests-{test_run}")
    return name


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
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A SQLite database of this test's own, with the schema."""
    path = tmp_path / "sequence.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def shared_urls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """The database of each kind that tests share: making one for each test takes too long."""
    made: dict[str, str] = {}

    def url_of(kind: str) -> str:
        if kind not in made:
            url = f"sqlite:///{tmp_path_factory.mktemp('shared')}/sequence.db"
            if kind == "postgresql":
                server: PostgresServer = request.getfixturevalue("postgres")
                url = server.url(server.create_database())
                url = url.replace("postgresql://", "postgresql+psycopg://")
            _migrate(url)
            made[kind] = url
        return made[kind]

    return url_of


@pytest.fixture(scope="session")
def shared_databases() -> Iterator[Callable[[str], Database]]:
    """Connections to those, kept from test to test."""
    made: dict[str, Database] = {}

    def database_of(url: str) -> Database:
        if url not in made:
            made[url] = Database(url)
        return made[url]

    yield database_of
    for database in made.values():
        database.close()


@pytest.fixture(scope="session")
def shared_webs() -> Iterator[Callable[[str, str], Web]]:
    """Web processes on those."""
    with ExitStack() as stack:
        made: dict[str, Web] = {}

        def web_of(database_url: str, redis_url: str) -> Web:
            if database_url not in made:
                made[database_url] = stack.enter_context(web(database_url, redis_url))
            return made[database_url]

        yield web_of


@pytest.fixture
def postgres_url(
    shared_urls: Callable[[str], str], shared_databases: Callable[[str], Database]
) -> str:
    """A PostgreSQL database with the schema and without rows."""
    url = shared_urls("postgresql")
    _empty(shared_databases(url))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest,
    shared_urls: Callable[[str], str],
    shared_databases: Callable[[str], Database],
) -> str:
    """A database with the schema and without rows, of each kind in turn."""
    url = shared_urls(request.param)
    _empty(shared_databases(url))
    return url


@pytest.fixture
def database(database_url: str, shared_databases: Callable[[str], Database]) -> Database:
    """Connections to that database."""
    return shared_databases(database_url)


@pytest.fixture
def rows(database: Database) -> Rows:
    """A look at the rows."""
    return Rows(database)


@pytest.fixture
def web_process(database_url: str, redis_url: str, shared_webs: Callable[[str, str], Web]) -> Web:
    """A web process on both."""
    return shared_webs(database_url, redis_url)


@pytest.fixture
def trading_floor(database_url: str, redis_url: str) -> Iterator[Floor]:
    """A market process in a thread, whose prices stand still."""
    with market_thread(database_url, redis_url) as floor:
        yield floor


@pytest.fixture
def caller(web_process: Web) -> Caller:
    """A client's live key."""
    return web_process.caller()


def _migrate(url: str) -> None:
    with closing(Database(url)) as database:
        migrations.upgrade(database)


def _empty(database: Database) -> None:
    with database.transaction() as session:
        if database.engine.dialect.name == "postgresql":
            # A test that left a lock behind is to be named, not waited for.
            session.execute(text("SET LOCAL lock_timeout = '5s'"))
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
