"""What a program sends through a root runner's uplink, and nobody reads."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from held_pages import LOST_BYTES, hold_pages_at_the_api
from network_world import World, inside
from sealed import HOSTILE_UID, Box, opened_box

from sandbox import ApiRelay, HostConfig


@pytest.fixture
def veth_host(world: World) -> Iterator[Box]:
    """Its packets go to the API as the program sent them, by no process."""
    with inside(world.host), socket.create_server(("127.0.0.1", 0), backlog=64) as api:
        config = HostConfig(
            name=f"queues-veth-{os.getpid()}",
            api=ApiRelay("127.0.0.1", api.getsockname()[1]),
            ready_slots=1,
            first_uid=HOSTILE_UID + 70,
            uplink="veth",
        )
        with opened_box(config) as box:
            yield box


def test_what_waits_at_the_api_is_no_page_of_the_program(veth_host: Box) -> None:
    assert hold_pages_at_the_api(veth_host) < LOST_BYTES
