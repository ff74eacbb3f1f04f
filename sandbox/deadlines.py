"""The runner's half of the guard: until when each run may live, told to a process that sees to it.

Nothing here waits for the guard: a heartbeat must not hang on it. One that is dead, or does not
answer, is replaced, and the new one is told everything again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import RunOverdueError, SandboxError
from sandbox.network import messages

logger = logging.getLogger(__name__)
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]
_HELLO_TIMEOUT_S = 60.0  # a busy host takes its time
_SILENT_S = 2.0
_CLOSE_TIMEOUT_S = 15.0


@dataclass
class _Helper:
    """A guard that said hello; `asked_at` is when the oldest unanswered message went out."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    unanswered: int = 0
    asked_at: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether it owes an answer for longer than a live one would."""
        return self.unanswered > 0 and time.monotonic() - self.asked_at > _SILENT_S


class Deadlines:
    """Thread-safe."""

    def __init__(self, name: str) -> None:
        """Raises `SandboxError` when the guard does not start."""
        self._name = name
        self._guard = threading.Lock()
        self._until_s: dict[str, float] = {}
        self._killed: set[str] = set()
        self._helper = _start(name)

    @property
    def guard_pid(self) -> int:
        return self._helper.process.pid

    def begin(self, run: str, until_s: float) -> None:
        """Before a run starts: it may live until this monotonic time. Raises `SandboxError`."""
        with self._guard:
            self._until_s[run] = until_s
            self._tell("extend", [run], until_s)

    def extend(self, runs: Iterable[str], until_s: float) -> None:
        """These may live until this monotonic time; unknown ones are left out. Never raises."""
        with self._guard:
            known = [run for run in runs if run in self._until_s]
            if not known:
                return
            for run in known:
                self._until_s[run] = until_s
            try:
                self._tell("extend", known, until_s)
            except SandboxError:
                # They die at what the last guard was told, or by the runner's own hand.
                logger.critical("guard_not_restarted", exc_info=True)

    def check(self, run: str) -> None:
        """Raises `RunOverdueError` when the run's time is over: it must not be started any more."""
        with self._guard:
            until_s = self._until_s.get(run)
        if until_s is not None and time.monotonic() >= until_s:
            raise RunOverdueError(f"run {run} came too late to its start; its time is over")

    def was_killed(self, run: str) -> bool:
        """Whether the guard killed it."""
        with self._guard:
            self._listen(self._helper)
            return run in self._killed

    def forget(self, run: str) -> None:
        """It is cleared away. Never raises."""
        with self._guard:
            self._killed.discard(run)
            if self._until_s.pop(run, None) is None:
                return
            try:
                self._tell("forget", [run])
            except SandboxError:
                logger.critical("guard_not_restarted", exc_info=True)

    def close(self) -> None:
        """End the guard; it kills what was not forgotten."""
        with self._guard:
            self._helper.channel.close()
            _end(self._helper.process, _CLOSE_TIMEOUT_S)

    def _tell(self, op: str, runs: list[str], until_s: float = 0.0) -> None:
        helper = self._helper
        if not self._listen(helper) or helper.is_silent or not _send(helper, op, runs, until_s):
            self._replace()

    def _listen(self, helper: _Helper) -> bool:
        """Take what the guard said; False when it is gone."""
        while True:
            try:
                data = helper.channel.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            said = json.loads(data)
            if said["op"] == "killed":
                self._killed.update(self._until_s.keys() & said["runs"])
                logger.error("runs_overdue", extra={"runs": said["runs"]})
            else:
                helper.unanswered -= 1
                helper.asked_at = time.monotonic()

    def _replace(self) -> None:
        old = self._helper
        # Ended first, without its last work: it would take the closed channel for our death.
        _end(old.process, 0.0)
        self._listen(old)
        old.channel.close()
        self._helper = _start(self._name)
        logger.warning("guard_restarted", extra={"guard": {"status": old.process.returncode}})
        by_time: dict[float, list[str]] = {}
        for run, until_s in self._until_s.items():
            by_time.setdefault(until_s, []).append(run)
        for until_s, runs in by_time.items():
            _send(self._helper, "extend", runs, until_s)


def _send(helper: _Helper, op: str, runs: list[str], until_s: float) -> bool:
    try:
        messages.send(helper.channel, op, runs=runs, until_s=until_s)
    except OSError:  # gone, or its buffer is full because it stands still
        return False
    if helper.unanswered == 0:
        helper.asked_at = time.monotonic()
    helper.unanswered += 1
    return True


def _start(name: str) -> _Helper:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", "-m", "sandbox.guard", str(theirs.fileno()), name],
            env={},
            cwd=_PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    ours.settimeout(_HELLO_TIMEOUT_S)
    with contextlib.suppress(TimeoutError):
        if messages.receive(ours) is not None:
            ours.setblocking(False)
            return _Helper(process, ours)
    ours.close()
    _end(process, 0.0)
    raise SandboxError(
        "the guard (sandbox.guard) did not start; its error stream, which is the runner's, says why"
    )


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
