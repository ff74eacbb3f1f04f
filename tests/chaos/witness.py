"""Outside of everything: a TCP server that writes down each sign of life, by the machine's clock.

It stands where the runners believe the API to be, for that is all that a sandbox can reach.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass


@dataclass
class Instance:
    """One instance of a strategy; times are the machine's monotonic seconds."""

    epoch: int
    first_s: float
    last_s: float
    starts: int = 0
    is_stopped: bool = False


class Witness:
    """Listens in a thread of its own; every method may be called from any thread."""

    def __init__(self) -> None:
        self.signs = 0
        self._instances: dict[str, dict[int, Instance]] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._listen, "127.0.0.1", 0)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="witness")
        self._thread.start()

    def instances(self, strategy_id: str) -> list[Instance]:
        """All that were seen of a strategy, by epoch."""
        with self._lock:
            return sorted(self._instances.get(strategy_id, {}).values(), key=lambda one: one.epoch)

    def is_alive(self, strategy_id: str, epoch: int) -> bool:
        """Whether this instance gave a sign within the last second."""
        with self._lock:
            found = self._instances.get(strategy_id, {}).get(epoch)
            return found is not None and time.monotonic() - found.last_s < 1.0

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):
                    self._note(*line.decode().split())
        except OSError:
            pass  # a sandbox or its relay was killed in the middle of a word
        finally:
            writer.close()

    def _note(self, kind: str, strategy_id: str, epoch: str, at: str) -> None:
        at_s = float(at)
        with self._lock:
            self.signs += 1
            known = self._instances.setdefault(strategy_id, {})
            one = known.setdefault(int(epoch), Instance(int(epoch), at_s, at_s))
            one.first_s, one.last_s = min(one.first_s, at_s), max(one.last_s, at_s)
            one.starts += kind == "start"
            one.is_stopped |= kind == "stop"
