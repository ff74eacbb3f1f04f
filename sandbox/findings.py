"""What was found about a host: fit, worth knowing, or in the way, the latter two with a cure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sandbox.errors import Problem


class Level(StrEnum):
    """`FAIL` keeps a runner from starting, `warn` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Remedy:
    """The exact commands or settings. `ubuntu` is that of 24.04 where it is not Debian 12's."""

    debian: str
    ubuntu: str | None = None

    def lines(self) -> list[str]:
        """As they are printed below a finding."""
        if self.ubuntu is None:
            return _labelled("remedy", self.debian)
        return [
            *_labelled("remedy (Debian 12)", self.debian),
            *_labelled("remedy (Ubuntu 24.04)", self.ubuntu),
        ]


@dataclass(frozen=True)
class Finding:
    """One sentence about the host. `remedy` is None exactly where nothing needs one."""

    level: Level
    what: str
    remedy: Remedy | None = None

    def __str__(self) -> str:
        lines = [f"{self.level:<4} {self.what}"]
        if self.remedy is not None:
            lines += [f"       {line}" for line in self.remedy.lines()]
        return "\n".join(lines)

    def problem(self) -> Problem:
        """The same as a reason for not starting."""
        remedy = self.remedy or Remedy("")
        if remedy.ubuntu is None:
            return Problem(self.what, remedy.debian)
        return Problem(self.what, f"Debian 12: {remedy.debian}\nUbuntu 24.04: {remedy.ubuntu}")


def ok(what: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, what)


def warn(what: str, debian: str, ubuntu: str | None = None) -> Finding:
    """A runner starts, and something will be worse than it could be."""
    return Finding(Level.WARN, what, Remedy(debian, ubuntu))


def fail(what: str, debian: str, ubuntu: str | None = None) -> Finding:
    """No runner can start."""
    return Finding(Level.FAIL, what, Remedy(debian, ubuntu))


def failed(problem: Problem) -> Finding:
    """A reason for not starting as a finding."""
    return fail(problem.what, problem.remedy)


def _labelled(label: str, text: str) -> list[str]:
    first, *others = text.splitlines()
    return [f"{label}: {first}", *(f"    {line}" for line in others)]
