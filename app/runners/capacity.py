"""How large strategies and runners are, and whom a runner with room calls first.

A strategy is as large as what it may use, not as what it uses: a runner never promises twice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Size:
    """CPU in thousandths of a core and memory in MB; `math.inf` is no limit."""

    cpu_millis: float = 0
    memory_mb: float = 0

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> "Size":
        """The size of a strategy with these resources."""
        return cls(resources["cpu_millis"], resources["memory_mb"])

    @classmethod
    def limit(cls, cpu_millis: int, memory_mb: int) -> "Size":
        """The size of a runner; 0 is no limit."""
        return cls(cpu_millis or math.inf, memory_mb or math.inf)

    def fits(self, room: "Size") -> bool:
        """Whether something of this size has its place in `room`."""
        return self.cpu_millis <= room.cpu_millis and self.memory_mb <= room.memory_mb

    def __add__(self, other: "Size") -> "Size":
        return Size(self.cpu_millis + other.cpu_millis, self.memory_mb + other.memory_mb)

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.cpu_millis - other.cpu_millis, self.memory_mb - other.memory_mb)

    def __str__(self) -> str:
        cpu, memory = (
            "any" if math.isinf(value) else f"{value:.0f}"
            for value in (self.cpu_millis, self.memory_mb)
        )
        return f"{cpu} cpu_millis and {memory} MB"


UNLIMITED = Size(math.inf, math.inf)


@dataclass(frozen=True)
class Waiting:
    """One that waits in a queue, and since how many seconds."""

    strategy_id: str
    size: Size
    waited_s: float


def called(line: Sequence[Waiting], *, free: Size, limit: Size) -> list[str]:
    """Ids of those that a runner may take now, of all that wait (oldest first).

    Whoever fits goes first come, first served. One that does not fit is overtaken for a minute;
    then free room is kept for it for two minutes, then it is overtaken for four, and so on, each
    time twice as long: nobody waits for ever behind small ones, and nobody blocks them for ever.
    One that is larger than the whole runner is never waited for.
    """
    ids = []
    for one in line:
        if one.size.fits(free):
            ids.append(one.strategy_id)
            free -= one.size
        elif one.size.fits(limit) and _is_kept_for(one.waited_s):
            break
    return ids


def _is_kept_for(waited_s: float) -> bool:
    return int(math.log2(max(0.0, waited_s) / _PATIENCE_S + 1)) % 2 == 1
