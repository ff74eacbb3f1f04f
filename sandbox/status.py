"""What bubblewrap reports of the process inside, and how that process is found."""

from __future__ import annotations

import contextlib
import json
import os
import select
from dataclasses import dataclass
from pathlib import Path

from sandbox import proc_fields

_CHUNK_BYTES = 4096


class StatusPipe:
    """bubblewrap's `--json-status-fd`: `child_pid` is the sandbox's pid 1 as the host numbers it,
    `exit_code` comes only when the program had been started and has ended."""

    def __init__(self, fd: int) -> None:
        """`fd` is the non-blocking reading end; it belongs to this object from now on."""
        self.fd = fd
        self.child_pid: int | None = None
        self.exit_code: int | None = None
        self._partial = b""

    def read(self) -> None:
        """Take in what has been written so far."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.fd, _CHUNK_BYTES):
                self._partial += chunk
        *complete, self._partial = self._partial.split(b"\n")
        for line in complete:
            report = json.loads(line)
            self.child_pid = report.get("child-pid", self.child_pid)
            self.exit_code = report.get("exit-code", self.exit_code)

    def close(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True)
class Started:
    """pidfds of the sandbox's pid 1 (bubblewrap's reaper) and of the program, its pid 2."""

    pid_one_fd: int
    program_fd: int


def open_started(child_pid: int) -> Started | None:
    """None while the program does not exist (the set-up is not over) or when it is gone."""
    pid = _pid_two(child_pid)
    if pid is None:
        return None
    opened: list[int] = []
    with contextlib.suppress(ProcessLookupError):
        opened.append(os.pidfd_open(child_pid))
        opened.append(os.pidfd_open(pid))
        if _pid_two(child_pid) == pid:  # else an id was another process's by then
            return Started(*opened)
    for fd in opened:
        os.close(fd)
    return None


def wait_readable(fd: int, timeout_s: float | None) -> bool:
    """Wait until `fd` is readable or at its end; False after `timeout_s` (None: no time-out)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def _pid_two(child_pid: int) -> int | None:
    try:
        children = Path(f"/proc/{child_pid}/task/{child_pid}/children").read_text(encoding="ascii")
        for pid in children.split():
            if proc_fields.read(Path(f"/proc/{pid}/status"), "NSpid").split()[-1] == "2":
                return int(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None
