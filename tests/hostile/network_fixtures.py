"""Fixtures of the tests with an internet of their own."""

from __future__ import annotations

from collections.abc import Iterator

import network_world
import pytest
from network_world import GATEWAY, World, inside
from sealed import Box

from sandbox import ApiRelay, Host, HostConfig


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    world = network_world.build()
    yield world
    world.close()


@pytest.fixture(scope="session", params=["user", "veth"])
def uplink(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def egress_host(world: World, uplink: str) -> Iterator[Host]:
    config = HostConfig(
        name=f"{world.host}-{uplink}",
        api=ApiRelay("127.0.0.1", world.api_port),
        slots=8,
        ready_slots=2,
        first_uid=380_000,
        uplink=uplink,
        resolvers=(GATEWAY,),
    )
    with inside(world.host):
        host = Host.open(config)
    yield host
    host.close()


@pytest.fixture
def egress(egress_host: Host, world: World) -> Iterator[Box]:
    world.zone.clear()
    world.arrived.clear()
    world.asked.clear()
    box = Box(egress_host)
    yield box
    box.close()
