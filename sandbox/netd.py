"""The runner's helper process: `python -m sandbox.netd CHANNEL_FD`.

It keeps the router and the network namespaces on it, relays connections to the API, resolves names,
and outlives a runner that is killed just long enough to kill that runner's sandboxes. It ends with
the runner, never before it, and holds the inherited lock on the runner's name until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from sandbox import cgroups
from sandbox.network import assembly, messages, namespaces
from sandbox.network.slots import SlotKeeper
from sandbox.network.uplink import UplinkKeeper
from sandbox.policy import Rules
from sandbox.selector import selector

_SWEEP_TIMEOUT_S = 10.0


class Daemon:
    """One runner's requests. They are begun in the order in which they come; none waits for the
    namespaces that are being made meanwhile."""

    def __init__(self, channel: socket.socket, keeper: SlotKeeper) -> None:
        self._channel = channel
        self._keeper = keeper
        self._gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: Mapping[str, Callable[[int, messages.Message], Coroutine[Any, Any, None]]]
        self._requests = {
            "make": self._make,
            "adopt": self._adopt,
            "open": self._open,
            "refusals": self._refusals,
            "release": self._release,
        }

    async def serve(self) -> None:
        """Until the runner is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel, self._receive)
        await self._gone.wait()
        loop.remove_reader(self._channel)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._keeper.close()

    def say(self, op: str, fds: tuple[int, ...] = (), **fields: Any) -> None:
        """To the runner, if it is still there."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            messages.send(self._channel, op, fds, **fields)

    def _receive(self) -> None:
        message = messages.receive(self._channel)
        if message is None:
            self._gone.set()
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, message: messages.Message) -> None:
        slot = int(message.fields["slot"])
        try:
            await self._requests[message.op](slot, message)
        except OSError as error:
            self.say("failed", slot=slot, request=message.op, error=str(error))

    async def _make(self, slot: int, _: messages.Message) -> None:
        namespace_fd = await self._keeper.make(slot)
        try:
            self.say("ready", (namespace_fd,), slot=slot)
        finally:
            os.close(namespace_fd)

    async def _adopt(self, slot: int, message: messages.Message) -> None:
        known = message.fields["rules"]
        await self._keeper.adopt(slot, Rules.from_fields(known) if known else None)
        self.say("opened", slot=slot)

    async def _open(self, slot: int, message: messages.Message) -> None:
        await self._keeper.open(slot, Rules.from_fields(message.fields["rules"]))
        self.say("opened", slot=slot)

    async def _refusals(self, slot: int, _: messages.Message) -> None:
        found = [asdict(refusal) for refusal in self._keeper.refusals(slot)]
        self.say("refused", slot=slot, refusals=found)

    async def _release(self, slot: int, _: messages.Message) -> None:
        await self._keeper.release(slot)


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
    known = dict(zip(configure.fields["with"], configure.fds, strict=True))
    chosen = selector()  # by the user that it is until it enters a namespace
    try:
        made = _enter_user_namespace(known.get("user"), configure.fields["own_user_namespace"])
    except OSError as error:
        messages.send(channel, "failed", slot=-1, request="configure", error=str(error))
        return
    # Before the hello: the runner moves us afterwards, and the tree is found from where we are.
    tree = cgroups.detect(configure.fields["name"])
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(chosen)) as runner:
            runner.run(_serve(channel, configure.fields, known.get("router"), made))
    finally:
        cgroups.sweep(tree, _SWEEP_TIMEOUT_S)


def _enter_user_namespace(known_fd: int | None, make: bool) -> dict[str, int]:
    """The descriptor to hand to the runner, when a user namespace was made."""
    if known_fd is not None:
        namespaces.enter(known_fd, namespaces.CLONE_NEWUSER)
        os.close(known_fd)
    elif make:
        return {"user": namespaces.make_user_namespace()}
    return {}


async def _serve(
    channel: socket.socket, fields: Mapping[str, Any], router_fd: int | None, made: dict[str, int]
) -> None:
    try:
        network = await assembly.assemble(fields, router_fd)
    except OSError as error:
        messages.send(channel, "failed", slot=-1, request="configure", error=str(error))
        return
    daemon = Daemon(channel, network.keeper)
    made["router"] = network.router.namespace_fd
    messages.send(channel, "hello", list(made.values()), **{"with": list(made)})
    for user_fd in (fd for name, fd in made.items() if name == "user"):
        os.close(user_fd)
    uplink = UplinkKeeper(network.uplink, partial(_report, daemon)) if network.uplink else None
    if uplink is not None:
        uplink.start()
    try:
        await daemon.serve()
    finally:
        if uplink is not None:
            await uplink.close()
        network.close()


def _report(daemon: Daemon, state: str, detail: str) -> None:
    daemon.say("uplink", state=state, detail=detail)


if __name__ == "__main__":
    main(int(sys.argv[1]))
