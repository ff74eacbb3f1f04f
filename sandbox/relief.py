"""When the host runs out of memory that nothing accounts for: end the run that can hold most of it.

What a program sends by TCP is copied into pages of 32 KB; only its bytes are counted, and what
describes them. The kernel would end the largest program first, which such a one is not.
"""

from __future__ import annotations

import logging
import mmap
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)
_EVERY_S = 0.5
_SETTLE_S = 2.0  # until what a run held that was killed is seen to be free
_SHARE = 8  # of the host's memory
_LEAST_COUNTED_BYTES = 30  # for a page: 17 of them hang on 512 bytes
MOST_HELD_TIMES = max(32 << 10, mmap.PAGESIZE) // _LEAST_COUNTED_BYTES
"""What the sockets of a run can hold, as a multiple of what is counted for them."""

# Of /proc/meminfo: free, or used by somebody whom it names.
_ACCOUNTED = (
    *("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack"),
    *("PageTables", "SecPageTables", "Percpu", "VmallocUsed", "Hugetlb"),
)
_KEPT = re.compile(r"^ +count: +(\d+)$", re.MULTILINE)


class Holder(Protocol):
    """A run that is looked at. No method waits for anything."""

    @property
    def run_name(self) -> str: ...

    def socket_bytes(self) -> int:
        """What its control group counts for its sockets; 0 when it is gone."""

    def check_sockets(self, held_bytes: int) -> bool:
        """Kill it if that is more than its limit; whether it was killed by this."""


@dataclass(frozen=True)
class Bounds:
    """Something is done when less than `available_bytes` of the host's memory is available, and
    `unaccounted_bytes` more of it is nobody's than when that was least."""

    available_bytes: int
    unaccounted_bytes: int

    @classmethod
    def of_the_host(cls) -> Bounds:
        """An eighth of its memory for each."""
        share_bytes = _meminfo()["MemTotal"] // _SHARE
        return cls(share_bytes, share_bytes)


class Relief:
    """The thread that looks, twice a second."""

    def __init__(self, running: Callable[[], Iterable[Holder]], bounds: Bounds) -> None:
        self._running = running
        self._bounds = bounds
        self._least_bytes = _unaccounted_bytes(_meminfo())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-relief", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        rest_s = _EVERY_S
        while not self._closing.wait(rest_s):
            rest_s = _EVERY_S
            try:
                if self._is_needed() and self._end_one():
                    rest_s = _SETTLE_S
            except Exception:
                logger.exception("host_memory_not_watched")

    def _is_needed(self) -> bool:
        found = _meminfo()
        unaccounted_bytes = _unaccounted_bytes(found)
        self._least_bytes = min(self._least_bytes, unaccounted_bytes)
        return (
            found["MemAvailable"] < self._bounds.available_bytes
            and unaccounted_bytes - self._least_bytes > self._bounds.unaccounted_bytes
        )

    def _end_one(self) -> bool:
        """Whoever holds most comes first; who is within its limit, or killed already, is passed."""
        counted = [(run.socket_bytes(), run) for run in self._running()]
        for socket_bytes, run in sorted(counted, key=lambda pair: pair[0], reverse=True):
            if run.check_sockets(socket_bytes * MOST_HELD_TIMES):
                found = {"run": run.run_name, "socket_bytes": socket_bytes}
                logger.warning("run_killed_for_host_memory", extra=found)
                return True
        return False


def _unaccounted_bytes(meminfo: dict[str, int]) -> int:
    known = sum(meminfo.get(name, 0) for name in _ACCOUNTED)
    return meminfo["MemTotal"] - known - _kept_by_processors_bytes()


def _kept_by_processors_bytes() -> int:
    """Free pages that each processor keeps for itself, which can be gigabytes."""
    zones = Path("/proc/zoneinfo").read_text(encoding="ascii")
    return sum(map(int, _KEPT.findall(zones))) * mmap.PAGESIZE


def _meminfo() -> dict[str, int]:
    """The figures of /proc/meminfo, in bytes."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, _, value in pairs}
