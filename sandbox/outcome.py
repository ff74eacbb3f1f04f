"""What is known about a run: counters while it lives, an outcome when it has ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

KilledFor = Literal["memory", "locks", None]
"""What the runner killed a run for, of what the kernel does not bound by itself."""


@dataclass(frozen=True)
class Usage:
    """Counters of the run's control group. `memory_peak_bytes` is None where the kernel keeps
    none (control groups v2 before Linux 5.19)."""

    memory_bytes: int
    memory_peak_bytes: int | None
    cpu_s: float
    throttled_s: float
    oom_kills: int
    pids: int


@dataclass(frozen=True)
class Outcome:
    """How the program ended.

    `exit_code` is 0..255. `signal` is set when that code is 128 + a signal's number: the reaper
    inside the sandbox reports a death by signal so, and a program that calls `sys.exit(143)`
    itself looks the same. `oom` needs both: death by SIGKILL, and a counted kill by the kernel or
    one by the runner for memory that the kernel had let it have.
    `full` names the file systems (`/workspace`, `/tmp`, `/dev/shm`) that had no free block or inode
    left when the program was gone; a program that removed its files while it failed shows nothing.
    `overdue`: the guard killed it, because its time had not been extended.
    `too_many_locks`: it was killed for holding more file locks than `locks.MOST`.
    """

    exit_code: int
    signal: int | None
    oom: bool
    usage: Usage
    full: tuple[str, ...] = ()
    overdue: bool = False
    too_many_locks: bool = False

    @property
    def workspace_full(self) -> bool:
        """Whether the program could not have written another file to its workspace."""
        return "/workspace" in self.full


def outcome_of(
    exit_code: int,
    usage: Usage,
    full: tuple[str, ...] = (),
    *,
    overdue: bool = False,
    killed_for: KilledFor = None,
) -> Outcome:
    """Decide from the exit code (0..255, 128 + n for signal n) and the final counters."""
    number = exit_code - 128
    died_by = number if number in set(signal.Signals) else None
    was_killed = died_by == signal.SIGKILL
    return Outcome(
        exit_code,
        died_by,
        oom=was_killed and (killed_for == "memory" or usage.oom_kills > 0),
        usage=usage,
        full=full,
        overdue=overdue,
        too_many_locks=was_killed and killed_for == "locks",
    )
