"""How much a strategy may log: a rate of lines and bytes, some at once, and a word on the rest."""

from dataclasses import dataclass, field

from tasks import metrics

_SECOND = 1.0
_NEVER = float("inf")


@dataclass(frozen=True)
class Rate:
    """What one strategy may log in the long run; 0 is without limit.

    Attributes:
        burst_s: so many seconds' worth may come at once.
    """

    lines_per_s: float
    bytes_per_s: float
    burst_s: float


UNLIMITED = Rate(0, 0, 1)


@dataclass
class _Bucket:
    rate_per_s: float
    burst_s: float
    _level: float = field(init=False)
    _filled_at: float | None = None

    def __post_init__(self) -> None:
        self._level = self.rate_per_s * self.burst_s

    def refill(self, now: float) -> bool:
        """Whether something may be taken; what is taken then may be more than there is."""
        if not self.rate_per_s:
            return True
        gained = (now - self._filled_at) * self.rate_per_s if self._filled_at is not None else 0.0
        self._level = min(self._level + gained, self.rate_per_s * self.burst_s)
        self._filled_at = now
        return self._level > 0

    def take(self, amount: int) -> None:
        """Take it, into debt if need be: reads are small beside a second's worth."""
        self._level -= amount


class FloodGate:
    """Lets lines through at a rate; once it is exceeded, nothing for the rest of a second.

    So a flood has one marker a second, and it stands exactly where its lines are missing.

    Attributes:
        marker_due_at: monotonic time at which `marker` is to be asked; infinite while all is well.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._lines = _Bucket(rate.lines_per_s, rate.burst_s)
        self._bytes = _Bucket(rate.bytes_per_s, rate.burst_s)
        self._dropped_lines = 0
        self._dropped_bytes = 0
        self.marker_due_at = _NEVER

    def admits(self, lines: int, size_bytes: int, now: float) -> bool:
        """Whether these may be stored; those that may not are counted."""
        if self.marker_due_at == _NEVER:
            # Both are asked: each has to know how time goes by.
            has_lines, has_bytes = self._lines.refill(now), self._bytes.refill(now)
            if has_lines and has_bytes:
                self._lines.take(lines)
                self._bytes.take(size_bytes)
                return True
            self.marker_due_at = now + _SECOND
        self._dropped_lines += lines
        self._dropped_bytes += size_bytes
        return False

    def marker(self) -> str:
        """What to say about the lines that were dropped; counting begins anew."""
        text = (
            f"{self._dropped_lines} lines ({self._dropped_bytes} bytes) were dropped here: "
            f"{self._limit()} a second may be logged"
        )
        metrics.DROPPED_LINES.labels("rate").inc(self._dropped_lines)
        self._dropped_lines = self._dropped_bytes = 0
        self.marker_due_at = _NEVER
        return text

    def _limit(self) -> str:
        rate = self._rate
        limits = [(rate.lines_per_s, "lines"), (rate.bytes_per_s, "bytes")]
        return " or ".join(f"{value:.0f} {unit}" for value, unit in limits if value)
