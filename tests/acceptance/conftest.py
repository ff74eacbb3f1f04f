"""One platform for most tests; those that end or break one start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .dev_platform import DevPlatform
from .support import Api, CommandLine

GRACE_S = 1.5
NOWHERE = "nowhere"
"""A latency target that is known and that no runner serves."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevPlatform]:
    """A running `sequence dev`, which after all of the tests ends without a trace."""
    targets = "default=local,coinbase=us-east-1,kalshi=eu-west-1,polymarket=eu-west-1"
    platform = DevPlatform(
        tmp_path_factory.mktemp("platform"),
        STOP_GRACE_SECS=str(GRACE_S),
        LATENCY_TARGETS=f"{targets},{NOWHERE}=mars",
        RUNNER_QUEUES="default,coinbase,kalshi,polymarket",
    )
    try:
        platform.start()
        yield platform
        assert platform.end() == 0
        assert platform.remains() == []
    finally:
        platform.close()


@pytest.fixture(scope="session")
def api(platform: DevPlatform) -> Api:
    """Its API with the live key."""
    return platform.live


@pytest.fixture
def cli(platform: DevPlatform, tmp_path: Path) -> CommandLine:
    """The command line of a person who has logged in with the live key."""
    command_line = CommandLine(tmp_path)
    facts = platform.facts
    command_line.run("login", typed=f"{facts['api_url']}\n{facts['api_key']}\n")
    return command_line
