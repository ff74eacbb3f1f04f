"""One host for all hostile programs; the next must not notice what the one before tried."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from host_state import hostile_processes, look
from network_fixtures import egress, egress_host, uplink, world  # noqa: F401 - fixtures
from ordinary import AnyBox, OrdinaryBox, ordinary_box
from sealed import HOSTILE_UID, Box, group_directories, wait_until

from sandbox import ApiRelay, Host, HostConfig


@pytest.fixture(scope="session")
def hostile_host() -> Iterator[Host]:
    # No API behind the relay: these programs look for what they must not reach.
    config = HostConfig(
        name=f"hostile-{os.getpid()}",
        api=ApiRelay("127.0.0.1", 9),
        slots=8,
        ready_slots=2,
        first_uid=HOSTILE_UID,
    )
    host = Host.open(config)
    yield host
    host.close()


@pytest.fixture(scope="session")
def ordinary_runner() -> Iterator[OrdinaryBox]:
    with ordinary_box() as box:
        yield box


@pytest.fixture
def box(hostile_host: Host) -> Iterator[Box]:
    box = Box(hostile_host)
    yield box
    box.close()


# Only root can start another user's runner; an ordinary user's own is such a one already.
RUNNERS = ["root", "ordinary"] if os.geteuid() == 0 else ["own"]


@pytest.fixture(params=RUNNERS)
def any_box(request: pytest.FixtureRequest) -> AnyBox:
    """The same program under a root runner and under an ordinary user's."""
    name = "ordinary_runner" if request.param == "ordinary" else "box"
    found: AnyBox = request.getfixturevalue(name)
    return found


@pytest.fixture(autouse=True)
def host_unchanged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every case here also asserts that its host is as it was."""
    for name in ("hostile_host", *({"any_box"} & set(request.fixturenames))):
        request.getfixturevalue(name)
    before, processes = look(), hostile_processes()
    yield
    wait_until(lambda: hostile_processes() <= processes, "the programs are gone")
    assert look() == before
    assert group_directories(f"hostile-{os.getpid()}") == []
    assert group_directories(f"hostile-user-{os.getpid()}") == []
