"""When the host runs out of memory: end the run that holds most of it where no limit counts it.

That is in pages that hang on bytes in TCP queues. The kernel would end the largest program first,
which that one is not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from sandbox.running import Sandbox

logger = logging.getLogger(__name__)
_EVERY_S = 0.5
_SPARE_SHARE = 8  # of the host's memory, unless configured
_HIGH_ORDER_DISABLED = Path("/proc/sys/net/core/high_order_alloc_disable")


def tcp_page_bytes() -> int:
    """What one byte that TCP sends may hold: 32 KB, or 4 KB where the operator chose so."""
    try:
        is_small = _HIGH_ORDER_DISABLED.read_text(encoding="ascii").strip() == "1"
    except OSError:  # not the host's own network, where alone it is seen; or before Linux 5.14
        is_small = False
    return 4096 if is_small else 32768


class Relief:
    """The thread that looks, twice a second."""

    def __init__(
        self, spare_bytes: int | None, queued_pages: Callable[[], list[tuple[int, Sandbox]]]
    ) -> None:
        """`spare_bytes`: with less than that available something is done; None: an eighth of the
        host's memory. `queued_pages`: of every run, at most. It may raise `SandboxError`."""
        if spare_bytes is None:
            spare_bytes = _of_the_host("MemTotal") // _SPARE_SHARE
        self._spare_bytes = spare_bytes
        self._queued_pages = queued_pages
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-relief", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            try:
                if _of_the_host("MemAvailable") < self._spare_bytes:
                    self._end_the_greatest()
            except Exception:
                logger.exception("host_memory_not_watched")

    def _end_the_greatest(self) -> None:
        found = self._queued_pages()
        if not found:
            return
        pages, sandbox = max(found, key=lambda pair: pair[0])
        held_bytes = pages * tcp_page_bytes()
        if sandbox.check_queues(held_bytes):
            logger.warning(
                "run_killed_for_tcp_queues", extra={"run": sandbox.run_name, "bytes": held_bytes}
            )


def _of_the_host(name: str) -> int:
    """A figure of /proc/meminfo, in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/meminfo has no {name}")
