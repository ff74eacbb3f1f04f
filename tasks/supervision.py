"""Watching one run: its deadlines, and what others want of it; its output has a reader of its own.

Runs in the thread that spawned the sandbox, which must be the one that waits for it: the sandbox
dies with the thread that started it.
"""

import os
import selectors
import time
from dataclasses import dataclass, field

from app.logs.stream import Channel
from sandbox import Sandbox, selector
from tasks.control import RunControl
from tasks.ending import Cause
from tasks.logs.capture import Capture
from tasks.logs.reader import LogReader, reader_for
from tasks.logs.run_log import RunLog
from tasks.watchdog import Watchdog

_DRAIN_S = 2.0
_FOREVER = float("inf")


@dataclass(frozen=True)
class Watch:
    """What a supervision needs to know.

    Attributes:
        shutdown_fd: readable once this runner shuts down, for all of its runs at once.
        start_s: how long the run may use the CPU of a start.
        timeout_s: how long the run may last; 0 is for ever.
        silence_s: after how long without output it counts as stalled; 0 is never.
        grace_s: between SIGTERM and SIGKILL.
        eviction_grace_s: the same when the runner shuts down, which has to end within 30 s.
    """

    control: RunControl
    shutdown_fd: int
    start_s: float
    timeout_s: float
    silence_s: float
    grace_s: float
    eviction_grace_s: float
    run_log: RunLog
    capture: Capture
    reader: LogReader


@dataclass
class Supervision:
    """One run from its spawn to its end; `watch()` returns when the process is gone."""

    sandbox: Sandbox
    context: Watch
    cause: Cause = Cause.PROGRAM
    watchdog: Watchdog = field(init=False)
    timeout_at: float = _FOREVER
    _selector: selectors.BaseSelector = field(default_factory=selector)
    _start_ends_at: float = _FOREVER
    _kill_at: float = _FOREVER
    _grace_s: float = 0.0
    _is_exited: bool = False

    def watch(self) -> None:
        """Obey until the process is gone and its pipes are empty."""
        now = time.monotonic()
        self.watchdog = Watchdog(self.sandbox, self.context.run_log, self.context.silence_s)
        self._start_ends_at = now + self.context.start_s
        if self.context.timeout_s > 0:
            self.timeout_at = now + self.context.timeout_s
        capture = self.context.capture
        capture.on_output = self._hear
        with reader_for(capture, self.context.reader) as reader:
            reading = reader.watch(capture, self.sandbox.stdout_fd, self.sandbox.stderr_fd)
            try:
                self._register()
                while not self._is_exited:
                    self._turn()
            finally:
                self._selector.close()
                reader.finish(reading, _DRAIN_S)

    @property
    def last_error_line(self) -> str:
        """The last line on stderr, which ends a traceback; complete once `watch` is over."""
        return self.context.capture.last_error_line

    def _hear(self) -> None:
        """There was output; called by the log's reader."""
        due_at = self.watchdog.due_at
        self.watchdog.heard()
        if self.watchdog.due_at < due_at:
            # What we wait for comes sooner than we knew.
            os.eventfd_write(self.context.control.fd, 1)

    def _register(self) -> None:
        self._selector.register(self.sandbox.exit_fd, selectors.EVENT_READ, "exit")
        self._selector.register(self.context.control.fd, selectors.EVENT_READ, "control")
        self._selector.register(self.context.shutdown_fd, selectors.EVENT_READ, "shutdown")

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience_s()):
            if key.data == "exit":
                self._is_exited = True
            elif key.data == "shutdown":
                self._selector.unregister(key.fd)
                self.ask_to_end(Cause.EVICTION)
            else:
                self._obey()
        self._keep_deadlines()

    def _patience_s(self) -> float | None:
        """Until the next deadline; None when there is none, as after a fence."""
        next_at = self._next_deadline()
        return None if next_at == _FOREVER else max(0.0, next_at - time.monotonic())

    def _next_deadline(self) -> float:
        # A fence may only move away from us, so a look at the old one is at worst too early.
        own = min(self._start_ends_at, self.timeout_at, self._kill_at, self.watchdog.due_at)
        return min(self.context.control.fence_at, own)

    def _obey(self) -> None:
        control = self.context.control
        control.acknowledge()
        if control.is_lost:
            self._fence()
        elif control.stop_requested:
            self.ask_to_end(Cause.STOP)

    def _keep_deadlines(self) -> None:
        if self._is_exited:
            return
        now = time.monotonic()
        if now >= self._start_ends_at:
            self._start_ends_at = _FOREVER
            self.sandbox.end_start()
        if self.context.control.is_overdue:
            self._fence()
        elif now >= self._kill_at:
            self._kill_at = _FOREVER
            self.context.run_log.write(
                Channel.SYSTEM, f"still running after its grace of {self._grace_s:g} s: SIGKILL"
            )
            self.sandbox.kill()
        elif now >= self.timeout_at:
            self.timeout_at = _FOREVER
            self.context.run_log.write(Channel.SYSTEM, self.time_out_words())
            self.ask_to_end(Cause.TIME_OUT)
        elif self.watchdog.bites(now):
            self.ask_to_end(Cause.STALL)

    def time_out_words(self) -> str:
        """What the log says when `timeout_at` has come."""
        return f"time-out: {self.context.timeout_s:g} s are over; SIGTERM"

    def ask_to_end(self, cause: Cause) -> None:
        """SIGTERM, and SIGKILL after the grace; the first cause is the one that counts."""
        is_eviction = cause == Cause.EVICTION
        grace_s = self.context.eviction_grace_s if is_eviction else self.context.grace_s
        if self.cause != Cause.PROGRAM:
            if is_eviction and self._kill_at != _FOREVER:
                # A runner that shuts down has not the time that a stop may take otherwise.
                self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
            return
        self.cause = cause
        self.watchdog.rest()
        self._grace_s = grace_s
        self._kill_at = time.monotonic() + grace_s
        self.sandbox.interrupt()

    def _fence(self) -> None:
        """Dead at once: from now on another runner may own this strategy."""
        self.cause = Cause.FENCE
        # A renewal that succeeds after all does not make it ours again: nothing follows, no hook.
        self.context.control.is_lost = True
        self.context.control.fence_at = _FOREVER
        self.watchdog.rest()
        self.context.run_log.write(Channel.SYSTEM, "the lease could not be renewed: SIGKILL")
        self.sandbox.kill()
