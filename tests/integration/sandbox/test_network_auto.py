"""The uplink `auto`: what it becomes on this host, and on one where slirp4netns does not work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from network_world import GATEWAY, WEB, World, inside
from sealed import Box, group_directories
from support.groups import control_groups

from sandbox import Host, HostConfig, NetworkPolicy, NoUplinkError, Program, UplinkDownError
from sandbox.network import requirements

TRY = f"""
import socket
print(socket.create_connection(("{WEB}", 443), timeout=5).getpeername()[1])
"""


@contextmanager
def opened(world: World, uplink: str) -> Iterator[Host]:
    config = HostConfig(
        name=f"auto-{os.getpid()}",
        ready_slots=1,
        first_uid=372_000,
        uplink=uplink,
        resolvers=(GATEWAY,),
    )
    with inside(world.host):
        host = Host.open(config)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slirp4netns that ends at once."""
    tool = tmp_path / "slirp4netns"
    tool.write_text("#!/bin/sh\necho slirp4netns version 1.2.0; echo broken >&2; exit 1\n")
    tool.chmod(0o755)
    tmp_path.chmod(0o755)
    search = f"{tmp_path}:{requirements._SEARCH_PATH}"
    monkeypatch.setattr(requirements, "_SEARCH_PATH", search)


def test_it_is_the_user_mode_uplink_where_that_can_be_had(world: World) -> None:
    with opened(world, "auto") as host:
        assert (host.uplink, host.uplink_obstacles) == ("user", ())
        box = Box(host)
        assert box.run(TRY, network=NetworkPolicy("internet")).seen == 443
        box.close()


@pytest.mark.usefixtures("broken")
def test_one_that_does_not_come_up_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(world, "auto") as host:
        assert host.uplink == "none"
        assert "uplink_given_up" in [record.message for record in caplog.records]
        box = Box(host)
        assert box.run("print(1)").seen == 1
        box.close()
        program = Program(argv=["-c", "pass"], network=NetworkPolicy("internet"))
        with pytest.raises(NoUplinkError, match="slirp4netns did not start: broken"):
            host.spawn(program, "asks")


@pytest.mark.usefixtures("broken")
def test_one_that_was_named_is_had_or_nothing_starts(world: World) -> None:
    refused = pytest.raises(UplinkDownError, match="slirp4netns did not start: broken")
    with refused, opened(world, "user"):
        pass
    assert group_directories(f"auto-{os.getpid()}") == []
    assert control_groups(f"sequence-auto-{os.getpid()}") == []
