"""The runner's helper process: `python -m sandbox.netd CHANNEL_FD`.

It keeps network namespaces, relays their connections to the API, and outlives a runner that is
killed just long enough to kill that runner's sandboxes. It ends with the runner, never before it,
and holds the inherited lock on the runner's name until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from typing import Any

from sandbox import cgroups
from sandbox.network import messages, namespaces
from sandbox.network.slots import SlotKeeper

_SWEEP_TIMEOUT_S = 10.0


class Daemon:
    """One runner's requests, in the order in which they come."""

    def __init__(self, channel: socket.socket, keeper: SlotKeeper) -> None:
        self._channel = channel
        self._keeper = keeper
        self._inbox: asyncio.Queue[messages.Message | None] = asyncio.Queue()

    async def serve(self) -> None:
        """Until the runner is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel, self._receive)
        while (message := await self._inbox.get()) is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._carry_out(message)
        await self._keeper.close()

    def _receive(self) -> None:
        message = messages.receive(self._channel)
        if message is None:
            asyncio.get_running_loop().remove_reader(self._channel)
        self._inbox.put_nowait(message)

    async def _carry_out(self, message: messages.Message) -> None:
        slot = int(message.fields["slot"])
        try:
            if message.op == "make":
                await self._make(slot)
            elif message.op == "adopt":
                await self._keeper.adopt(slot, message.fds[0])
            elif message.op == "release":
                await self._keeper.release(slot)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except OSError as error:
            messages.send(self._channel, "failed", slot=slot, request=message.op, error=str(error))

    async def _make(self, slot: int) -> None:
        namespace_fd = await self._keeper.make(slot)
        try:
            messages.send(self._channel, "ready", [namespace_fd], slot=slot)
        finally:
            os.close(namespace_fd)


def main(channel_fd: int) -> None:
    """Serve the runner at the other end of `channel_fd`, then clear away what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the runner's end is the only reason to end
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    channel = socket.socket(fileno=channel_fd)
    configure = messages.receive(channel)
    if configure is None:
        return
    try:
        user_namespace = _enter_user_namespace(configure)
    except OSError as error:
        messages.send(channel, "failed", slot=-1, request="configure", error=str(error))
        return
    # Before the hello: the runner moves us afterwards, and the tree is found from where we are.
    tree = cgroups.detect(configure.fields["name"])
    messages.send(channel, "hello", user_namespace)
    asyncio.run(_serve(channel, configure.fields))
    cgroups.sweep(tree, _SWEEP_TIMEOUT_S)


def _enter_user_namespace(configure: messages.Message) -> list[int]:
    """Descriptors to hand to the runner: one when a user namespace was made."""
    if configure.fds:
        namespaces.enter(configure.fds[0], namespaces.CLONE_NEWUSER)
    elif configure.fields["own_user_namespace"]:
        return [namespaces.make_user_namespace()]
    return []


async def _serve(channel: socket.socket, fields: Any) -> None:
    target = (fields["api"][0], int(fields["api"][1])) if fields["api"] else None
    keeper = SlotKeeper(fields["address"], fields["ports"], target)
    await Daemon(channel, keeper).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
