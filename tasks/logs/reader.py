"""Reads the output of all runs of a runner, from one thread, in fair turns.

A turn reads each pipe that has something once, at most 64 KiB of it, and turns are at least two
milliseconds apart: a program that writes a line at a time wakes the runner five hundred times a
second, not fifty thousand, while what comes after silence is read at once. Measured beside a
reading thread for each run: docs/decisions/0008.
"""

import logging
import os
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.logs.stream import Channel
from sandbox import selector
from tasks.logs.capture import Capture

log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_TURN_S = 0.002
_COSTLY_SHARE = 0.25
_NEVER = float("inf")


@dataclass
class Reading:
    """The pipes of one run while they are read.

    Attributes:
        give_up_at: monotonic time at which nothing more is waited for.
        is_over: set once nothing more will be read.
    """

    capture: Capture
    open_fds: dict[int, Channel]
    give_up_at: float | None = None
    is_over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def reader_for(capture: Capture, shared: "LogReader") -> Iterator["LogReader"]:
    """The shared reader, or one of its own for a run whose masking would hold the others up.

    Thousands of secrets that were made to be hard to find take seconds for 64 KiB: such a run waits
    for itself alone, and its reader rests three quarters of the time.
    """
    if not capture.is_costly:
        yield shared
        return
    own = LogReader(share=_COSTLY_SHARE)
    own.start()
    try:
        yield own
    finally:
        own.close()


class LogReader(threading.Thread):
    """The thread that reads."""

    def __init__(self, *, share: float = 1.0) -> None:
        """`share`: the most of the time that it works."""
        super().__init__(name="log-reader", daemon=True)
        self._rests_per_work = 1 / share - 1
        self._selector = selector()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        self._by_id: dict[int, Reading] = {}
        self._fresh: list[Reading] = []
        self._lock = threading.Lock()
        self._look_at = _NEVER
        self._closing = False

    def watch(self, capture: Capture, stdout_fd: int, stderr_fd: int) -> Reading:
        """Begin to read these pipes, which must not block."""
        reading = Reading(capture, {stdout_fd: Channel.STDOUT, stderr_fd: Channel.STDERR})
        with self._lock:
            self._fresh.append(reading)
        os.eventfd_write(self._wake_fd, 1)
        return reading

    def finish(self, reading: Reading, within_s: float) -> None:
        """Read what is still in the pipes, for at most so long, and let go of them.

        Every process that could write to them should be dead; one that is not is not waited for.
        """
        reading.give_up_at = time.monotonic() + within_s
        os.eventfd_write(self._wake_fd, 1)
        # Twice as long: the thread has others to read as well.
        if not reading.is_over.wait(within_s * 2 + 1):
            log.error("log_reader_late", extra={"pid": os.getpid()})

    def close(self) -> None:
        """End the thread; runs that it still reads are left."""
        self._closing = True
        os.eventfd_write(self._wake_fd, 1)
        self.join(timeout=5)
        self._selector.close()
        os.close(self._wake_fd)

    def run(self) -> None:
        """Read until closed."""
        while not self._closing:
            began = time.monotonic()
            patience_s = self._look_at - began
            ready = self._selector.select(None if patience_s == _NEVER else max(0.0, patience_s))
            turn_at = time.monotonic()
            for key, _ in ready:
                if key.fd == self._wake_fd:
                    os.eventfd_read(self._wake_fd)
                    self._take_fresh()
                    self._look_at = 0.0
                else:
                    self._read(key.data, key.fd)
            if time.monotonic() >= self._look_at:
                self._keep_times()
            worked_s = time.monotonic() - turn_at
            rest_s = max(_TURN_S - worked_s, worked_s * self._rests_per_work)
            if ready and rest_s > 0:
                time.sleep(rest_s)

    def _take_fresh(self) -> None:
        with self._lock:
            fresh, self._fresh = self._fresh, []
        for reading in fresh:
            self._by_id[id(reading)] = reading
            for fd in [*reading.open_fds]:
                try:
                    self._selector.register(fd, selectors.EVENT_READ, reading)
                except OSError:
                    # One run's log must not end those of the others.
                    log.exception("log_not_read")
                    del reading.open_fds[fd]

    def _read(self, reading: Reading, fd: int) -> None:
        try:
            data = os.read(fd, _READ_BYTES)
            reading.capture.feed(reading.open_fds[fd], data)
        except BlockingIOError:
            return
        except Exception:
            # One run's log must not end those of the others.
            log.exception("log_not_read")
            data = b""
        self._look_at = min(self._look_at, reading.capture.marker_due_at)
        if not data:
            self._selector.unregister(fd)
            del reading.open_fds[fd]
            if reading.give_up_at is not None:
                self._look_at = 0.0

    def _keep_times(self) -> None:
        now = time.monotonic()
        self._look_at = _NEVER
        for reading in [*self._by_id.values()]:
            reading.capture.tick(now)
            if reading.give_up_at is not None:
                if not reading.open_fds or now >= reading.give_up_at:
                    self._let_go(reading)
                    continue
                self._look_at = min(self._look_at, reading.give_up_at)
            self._look_at = min(self._look_at, reading.capture.marker_due_at)

    def _let_go(self, reading: Reading) -> None:
        for fd in reading.open_fds:
            self._selector.unregister(fd)
        reading.open_fds.clear()
        del self._by_id[id(reading)]
        reading.capture.close()
        reading.is_over.set()
