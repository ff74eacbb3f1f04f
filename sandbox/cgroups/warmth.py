"""Keep joining a control group cheap while starts are expected.

The first process in a while that is moved between control groups waits 5 to 15 ms for an RCU grace
period; further moves within some milliseconds take 0.1 ms. So a thread moves netd to where it is
already, beside the preparations of a start.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.cgroups import groups

_PAUSE_S = 0.003
_LASTS_S = 0.25


class Warmer:
    """A thread that sleeps until `expect`. Thread-safe."""

    def __init__(self, file: Path, pid: Callable[[], int]) -> None:
        """`file`: the `cgroup.procs` to write to; `pid`: whom."""
        self._file = file
        self._pid = pid
        self._until_s = 0.0
        self._closed = False
        self._expected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-warmer", daemon=True)
        self._thread.start()

    def expect(self) -> None:
        """A sandbox will be started within the next quarter of a second. Returns at once."""
        self._until_s = time.monotonic() + _LASTS_S
        self._expected.set()

    def close(self) -> None:
        self._closed = True
        self._expected.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._expected.wait()
            self._expected.clear()
            if self._closed:
                return
            while time.monotonic() < self._until_s:
                with contextlib.suppress(OSError):  # netd is being restarted: no warmth, no harm
                    groups.write(self._file, self._pid())
                time.sleep(_PAUSE_S)
