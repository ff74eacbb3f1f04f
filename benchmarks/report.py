"""One row of the table that `make bench` prints."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure: its samples in `unit`, and the most that its median may be, if that is set."""

    name: str
    samples: Sequence[float]
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the median keeps to the target."""
        return self.target is None or self.median <= self.target

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.samples)

    def __str__(self) -> str:
        low, high = min(self.samples), max(self.samples)
        spread = f"({low:.1f} .. {high:.1f}, n={len(self.samples)})"
        verdict = "" if self.target is None else f"at most {self.target:g}: "
        verdict += "" if self.target is None else ("met" if self.is_met else "MISSED")
        return (
            f"{self.name:<52}{self.median:8.1f} {self.unit:<3} {spread:<26} {verdict} {self.note}"
        )


def table(rows: Sequence[Row]) -> str:
    """All rows, one a line, after a line that says what the columns are."""
    head = f"{'figure':<52}{'median':>8}     (min .. max, samples)      target"
    return "\n".join([head, *(str(row).rstrip() for row in rows)])
