"""What a runner looks at twice a second in each of its runs: how many file locks it holds, what the
kernel did not hold of its memory's limit, and whether one that did not die in time is gone by now.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

logger = logging.getLogger(__name__)

_EVERY_S = 0.5
_ROUND_S = 0.1  # of the processor, for one round
_REST_SHARE = 4  # of what a round took, should a single count take longer


class Watched(Protocol):
    """A run that is looked at. No method waits for anything."""

    @property
    def run_name(self) -> str: ...

    def uncounted_work_s(self) -> float:
        """Processor time that it had used since its locks were counted."""

    def check_locks(self) -> None:
        """Kill it when it holds too many."""

    def check_memory(self) -> None:
        """Kill it when its limit does not hold it."""

    def clear_late(self) -> None:
        """Clear it away if it did not die in time and is gone by now. Raises `SandboxError`."""


class Watch:
    """The thread that looks."""

    def __init__(self, running: Callable[[], Iterable[Watched]]) -> None:
        self._running = running
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        rest_s = _EVERY_S
        while not self._closing.wait(rest_s):
            begun_s = time.thread_time()
            for work_s, sandbox in self._by_work():
                try:
                    sandbox.clear_late()
                    sandbox.check_memory()
                    # One that did no work has taken no lock.
                    if work_s > 0 and time.thread_time() - begun_s < _ROUND_S:
                        sandbox.check_locks()
                except Exception:
                    logger.exception("run_not_watched", extra={"run": sandbox.run_name})
            rest_s = max(_EVERY_S, _REST_SHARE * (time.thread_time() - begun_s))

    def _by_work(self) -> list[tuple[float, Watched]]:
        """Who may have taken the most locks first: a count walks along all locks of the host, and
        strategies can make many that are not counted."""
        work = [(run.uncounted_work_s(), run) for run in self._running()]
        return sorted(work, key=lambda pair: pair[0], reverse=True)
