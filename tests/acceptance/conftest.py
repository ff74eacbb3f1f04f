"""One platform for most tests; those that end or break one start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres_server import PostgresServer

from .dev_platform import DevPlatform
from .procfile_platform import ProcfilePlatform
from .support import Api, CommandLine

GRACE_S = 1.5
NOWHERE = "nowhere"
"""A latency target that is known and that no runner serves."""

_SETTINGS = {
    "STOP_GRACE_SECS": str(GRACE_S),
    "LATENCY_TARGETS": "default=local,coinbase=us-east-1,kalshi=eu-west-1,polymarket=eu-west-1,"
    f"{NOWHERE}=mars",
    "RUNNER_QUEUES": "default,coinbase,kalshi,polymarket",
}

on_both_databases = pytest.mark.parametrize("api", ["sqlite", "postgresql"], indirect=True)
"""`sequence dev` with its SQLite, and the Procfile's processes with a PostgreSQL."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevPlatform]:
    """A running `sequence dev`, which after all of the tests ends without a trace."""
    platform = DevPlatform(tmp_path_factory.mktemp("platform"), **_SETTINGS)
    try:
        platform.start()
        yield platform
        assert platform.end() == 0
        assert platform.remains() == []
    finally:
        platform.close()


@pytest.fixture(scope="session")
def production(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[ProcfilePlatform]:
    """The Procfile's processes on PostgreSQL, which end without a trace as well."""
    url = postgres.url(postgres.create_database())
    folder = tmp_path_factory.mktemp("production")
    with ProcfilePlatform.alive(folder, url, **_SETTINGS) as platform:
        yield platform


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Api:
    """The API with the live key: of `platform`, or as `on_both_databases` says."""
    if getattr(request, "param", "sqlite") == "postgresql":
        production: ProcfilePlatform = request.getfixturevalue("production")
        return production.api
    platform: DevPlatform = request.getfixturevalue("platform")
    return platform.live


@pytest.fixture
def cli(platform: DevPlatform, tmp_path: Path) -> CommandLine:
    """The command line of a person who has logged in with the live key."""
    command_line = CommandLine(tmp_path)
    facts = platform.facts
    command_line.run("login", typed=f"{facts['api_url']}\n{facts['api_key']}\n")
    return command_line
