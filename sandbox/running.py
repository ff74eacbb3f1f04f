"""A sandbox that was started: its streams, its signals, its counters, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox import cgroups, stacks
from sandbox.errors import SandboxError, SandboxStuckError
from sandbox.locks import LockCount
from sandbox.network.refusals import Refusal
from sandbox.outcome import KilledFor, Outcome, Usage, outcome_of
from sandbox.scratch import Scratch
from sandbox.status import Started, StatusPipe, wait_readable

_MOST_OOM_KILLS = 10


@dataclass(frozen=True)
class Parts:
    """What a sandbox is made of; all of it belongs to the `Sandbox` from its creation on.

    `started` is None for a program that ended before it could be seen.
    `release` gives the slot back, and is not called for a sandbox that could not be cleared.
    """

    process: subprocess.Popen[bytes]
    group: cgroups.RunGroup
    status: StatusPipe
    stdout_fd: int
    stderr_fd: int
    exit_fd: int
    started: Started | None
    scratch: Scratch
    lock_count: LockCount
    cpu_millis: int
    memory_bytes: int
    isolation: Mapping[str, object]
    kill_timeout_s: float
    refusals: Callable[[], list[Refusal]]
    release: Callable[[], None]
    was_killed: Callable[[], bool]


class Sandbox:
    """One run. Every method may be called from any thread, `finish` by the one that waits.

    `stdout_fd`, `stderr_fd`: non-blocking; read them to their end before `finish`, which closes
    them. `exit_fd`: readable when the run has ended. `isolation`: what this run really has.
    """

    def __init__(self, run_name: str, parts: Parts) -> None:
        self.run_name = run_name
        self.stdout_fd = parts.stdout_fd
        self.stderr_fd = parts.stderr_fd
        self.exit_fd = parts.exit_fd
        self.isolation = dict(parts.isolation)
        self._parts = parts
        self._started = parts.started
        self._killed = False
        self._final: Usage | None = None
        self._last_refusals: list[Refusal] = []
        self._full: tuple[str, ...] = ()
        self._overdue = False
        self._killed_for: KilledFor = None
        self._cpu_s = self._counted_at_cpu_s = 0.0
        self._is_stuck = False
        self._outcome: Outcome | None = None
        self._lock = threading.RLock()

    def interrupt(self) -> None:
        """SIGTERM to the program's first process: the request to end. No effect after the end."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._started is not None and self._final is None:
                signal.pidfd_send_signal(self._started.program_fd, signal.SIGTERM)

    def ask_for_stacks(self) -> bool:
        """Make a program that `stacks.prepared` returned write the stacks of its threads to its
        stderr; False when its first process cannot. No effect after the end."""
        with self._lock:
            if self._started is None or self._final is not None:
                return False
            return stacks.ask(self._started.program_fd)

    def end_start(self) -> None:
        """Put the lasting CPU quota in force. No effect after the end."""
        with self._lock:
            if self._final is None:
                self._parts.group.limit_cpu(self._parts.cpu_millis)

    def kill(self) -> None:
        """SIGKILL to all of the run; returns when nothing of it is left.

        Raises `SandboxStuckError` when something does not die within the kill time-out.
        """
        with self._lock:
            if self._final is not None:
                return
            self._send_kill()
            wait_readable(self.exit_fd, 0.5)
            self._empty()

    def uncounted_work_s(self) -> float:
        """Processor time that it had used since `check_locks`; for one thread alone."""
        with contextlib.suppress(OSError):  # it is gone
            self._cpu_s = self._parts.group.cpu_s()
        return self._cpu_s - self._counted_at_cpu_s

    def check_locks(self) -> None:
        """Send SIGKILL to the run when it holds more file locks than `locks.MOST`, and do not wait
        until it has died; for the same thread."""
        if not self._parts.lock_count.is_over() or self._send_kill_for("locks"):
            self._counted_at_cpu_s = self._cpu_s  # else again soon

    def check_memory(self) -> None:
        """The same when it has an eighth more memory than its limit, which control groups v2 let
        arriving datagrams have, or when the kernel has killed many of its processes for their
        memory, with a page in the host's log for each."""
        most_bytes = self._parts.memory_bytes + self._parts.memory_bytes // 8
        with contextlib.suppress(OSError):  # it is gone
            used_bytes, oom_kills = self._parts.group.memory()
            if used_bytes > most_bytes or oom_kills > _MOST_OOM_KILLS:
                self._send_kill_for("memory")

    def socket_bytes(self) -> int:
        """What its control group counts for its sockets; 0 when it is gone."""
        try:
            return self._parts.group.socket_bytes()
        except OSError:
            return 0

    def check_sockets(self, held_bytes: int) -> bool:
        """Send SIGKILL when its sockets hold more of the host's memory than its limit, and do not
        wait until it has died; whether it was sent, by this call and no other before."""
        is_over = not self._killed and held_bytes > self._parts.memory_bytes
        return is_over and self._send_kill_for("memory")

    def clear_late(self) -> None:
        """`finish`, for a run that did not die within the kill time-out but is gone by now; no
        effect on any other. Raises `SandboxError`."""
        if self._is_stuck and not self._parts.group.pids():
            self._is_stuck = False
            self.finish()

    def usage(self) -> Usage:
        """Live counters; after the end the last ones. Raises `SandboxError`."""
        with self._lock:
            try:
                return self._final or self._parts.group.usage()
            except OSError as error:
                raise SandboxError(
                    f"run {self.run_name}: its control group was removed by somebody else: {error}"
                ) from error

    def take_refusals(self) -> list[Refusal]:
        """What the program tried to reach and may not, since the last call; after the end what was
        not taken before. Counts are packets. Raises `SandboxError`."""
        with self._lock:
            if self._final is None:
                return self._parts.refusals()
            taken, self._last_refusals = self._last_refusals, []
            return taken

    def finish(self) -> Outcome:
        """Clear the run away and say how it ended. Waits for the end; may be called again.

        Raises `SandboxError` when it was bubblewrap that failed and not the program, and
        `SandboxStuckError` when processes are left over: their slot comes back when they are gone.
        """
        if self._outcome is None:
            self._parts.process.wait()
            with self._lock:
                self._outcome = self._outcome or self._clear()
        return self._outcome

    def _clear(self) -> Outcome:
        if self._final is None:
            self._empty()
            final = self.usage()
            self._full = self._parts.scratch.full()
            self._parts.scratch.close()
            self._parts.lock_count.close()
            cgroups.clear(self._parts.group, self._parts.kill_timeout_s)
            self._parts.status.read()
            with contextlib.suppress(SandboxError):  # not worth the outcome
                self._last_refusals = self._parts.refusals()
            self._overdue = self._parts.was_killed()
            self._final = final
            self._close()
            self._parts.release()
        exit_code = self._exit_code(self._final)
        return outcome_of(
            exit_code,
            self._final,
            self._full,
            overdue=self._overdue,
            killed_for=self._killed_for,
        )

    def _exit_code(self, final: Usage) -> int:
        reported = self._parts.status.exit_code
        if reported is not None:
            return reported
        status = self._parts.process.returncode
        if self._killed or self._overdue or final.oom_kills > 0:
            return 128 + signal.SIGKILL
        if self._started is not None and status < 0:
            return 128 - status  # somebody killed bubblewrap, and with it the program
        if self._started is not None and status > 128:
            return status  # a signal met the program in the instant before its exec
        raise SandboxError(
            f"run {self.run_name}: the sandbox ended with status {status} and without the program's"
            " exit code; the last lines of its error stream say why"
        )

    def _send_kill_for(self, reason: KilledFor) -> bool:
        """Without waiting; False when somebody looks at the run, or ends it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._final is None:
                self._killed_for = self._killed_for or reason
                self._send_kill()
        finally:
            self._lock.release()
        return True

    def _send_kill(self) -> None:
        """The kernel ends a pid namespace with its first process; bubblewrap then reports 137."""
        self._killed = True
        if self._started is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._started.pid_one_fd, signal.SIGKILL)
            cgroups.hasten(self._parts.group)

    def _empty(self) -> None:
        try:
            cgroups.empty(self._parts.group, self._parts.kill_timeout_s)
        except SandboxStuckError:
            self._is_stuck = True
            raise

    def _close(self) -> None:
        fds = [self.stdout_fd, self.stderr_fd, self.exit_fd]
        if self._started is not None:
            fds += [self._started.program_fd, self._started.pid_one_fd]
        for fd in fds:
            os.close(fd)
        self._parts.status.close()
