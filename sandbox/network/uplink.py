"""The router's way to the internet: started, watched, remade when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class UplinkError(Exception):
    """The uplink cannot be had, or was lost; the message says why."""


class Uplink(Protocol):
    """One kind of uplink. An instance is started and stopped any number of times."""

    async def start(self) -> None:
        """Make it; it carries packets when this returns. Raises `UplinkError` or OSError, and has
        then left nothing behind."""

    async def lost(self) -> str:
        """Wait until it carries no more; answers with the reason."""

    async def stop(self) -> None:
        """Remove what `start` made, as far as it is still there."""


class UplinkKeeper:
    """Keeps one uplink up and says what becomes of it: `up`, `lost` or `failed`, and the reason."""

    def __init__(self, uplink: Uplink, report: Callable[[str, str], None]) -> None:
        self._uplink = uplink
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._uplink.start()
            except (UplinkError, OSError) as error:
                if pause_s == _FIRST_PAUSE_S:  # once in a row is enough
                    self._report("failed", str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            try:
                self._report("up", "")
                pause_s = _FIRST_PAUSE_S
                self._report("lost", await self._reason())
            finally:
                with contextlib.suppress(OSError):  # `start` removes what is left
                    await self._uplink.stop()

    async def _reason(self) -> str:
        try:
            return await self._uplink.lost()
        except OSError as error:
            return f"it cannot be watched: {error}"
