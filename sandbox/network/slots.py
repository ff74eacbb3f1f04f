"""netd's half of a slot: its network namespace and the relay that listens inside it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sandbox.network import namespaces
from sandbox.network.relay import SlotRelay

_BACKLOG = 128


class SlotKeeper:
    """Makes, adopts and releases slots.

    Namespaces are made in one thread of their own: `unshare` and `setns` move only the calling
    thread, so the relay's connections to the API stay in the runner's namespace and do not wait.
    """

    def __init__(self, address: str, ports: Sequence[int], target: tuple[str, int] | None) -> None:
        self._address = address
        self._ports = tuple(ports) if target else ()
        self._target = target
        self._relays: dict[int, SlotRelay] = {}
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns")

    async def make(self, slot: int) -> int:
        """A new namespace for `slot`; answers with its descriptor. Raises OSError."""
        loop = asyncio.get_running_loop()
        namespace_fd, listeners = await loop.run_in_executor(self._maker, self._new_namespace)
        await self._relay(slot, listeners)
        return namespace_fd

    async def adopt(self, slot: int, namespace_fd: int) -> None:
        """Listen again in a namespace that a dead netd made; closes the descriptor."""
        loop = asyncio.get_running_loop()
        try:
            listeners = await loop.run_in_executor(self._maker, self._reenter, namespace_fd)
        finally:
            os.close(namespace_fd)
        await self._relay(slot, listeners)

    async def release(self, slot: int) -> None:
        relay = self._relays.pop(slot, None)
        if relay is not None:
            await relay.close()

    async def close(self) -> None:
        for slot in list(self._relays):
            await self.release(slot)
        self._maker.shutdown()

    async def _relay(self, slot: int, listeners: Sequence[socket.socket]) -> None:
        if self._target is None:
            return
        relay = SlotRelay(self._target)
        await relay.listen(listeners)
        self._relays[slot] = relay

    def _new_namespace(self) -> tuple[int, list[socket.socket]]:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        namespaces.bring_up_loopback(self._address)
        return namespaces.open_own("net"), self._listeners()

    def _reenter(self, namespace_fd: int) -> list[socket.socket]:
        namespaces.enter(namespace_fd, namespaces.CLONE_NEWNET)
        return self._listeners()

    def _listeners(self) -> list[socket.socket]:
        return [
            socket.create_server((self._address, port), backlog=_BACKLOG) for port in self._ports
        ]
