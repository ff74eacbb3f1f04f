"""Faults of ours. What the user's program did is never one of these: that is an `Outcome`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SandboxError(Exception):
    """The platform failed to start, watch or clear away a sandbox; the message says what to do."""


class ProgramInvalidError(SandboxError):
    """A `Program` that no sandbox can be given, whatever the host: too many files, a bad path."""


class NoFreeSlotError(SandboxError):
    """Every slot of the host is taken (or quarantined); try again when a run has ended."""


class NoUplinkError(SandboxError):
    """A policy that needs the internet, on a runner that has no uplink."""


class UplinkDownError(SandboxError):
    """The uplink that was configured does not come up at the start; the message says why."""


class SandboxStuckError(SandboxError):
    """Processes that do not die (uninterruptible sleep). Their slot stays quarantined."""


class RunOverdueError(SandboxError):
    """A run whose time was over before it could begin; nothing of it was started."""


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a host from running sandboxes, and the command that cures it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    remedy: {self.remedy}"


class SandboxUnavailableError(SandboxError):
    """This host cannot run sandboxes. `problems` holds everything that was found, not the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"this host cannot run sandboxes:\n{listed}")
