"""One host for all hostile programs; the next must not notice what the one before tried."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from network_fixtures import egress, egress_host, uplink, world  # noqa: F401 - fixtures
from sealed import HOSTILE_UID, Box

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


@pytest.fixture
def box(hostile_host: Host) -> Iterator[Box]:
    box = Box(hostile_host)
    yield box
    box.close()
