"""Walking through stored lines in either direction, within what one request may cost."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.logs.cursor import Cursor
from app.logs.filters import Filter
from app.logs.records import gap_line
from app.logs.source import LogSource
from app.logs.stream import Batch, Block, Line
from app.strategies.models import Run

_BUDGET_BYTES = 16 << 20
_BUDGET_PARSED_BYTES = 4 << 20
_ENTRY_BYTES = 256
_NO_END = 1 << 62

Found = tuple[Run, Line]


@dataclass(frozen=True)
class Span:
    """Where to look.

    Attributes:
        after, before: lines strictly between these; None is without an end.
    """

    after: Cursor | None
    before: Cursor | None
    wanted: Filter
    limit: int

    def floor(self, run: Run) -> int:
        """Lines of this run up to this number are out."""
        return self.after.number if self.after and self.after.epoch == run.epoch else 0

    def ceiling(self, run: Run) -> int | None:
        """Lines of this run from this number on are out."""
        return self.before.number if self.before and self.before.epoch == run.epoch else None


@dataclass
class Scan:
    """One walk; afterwards `stopped_at` is where to go on, or None when there is no more.

    A walk ends when it has `limit` lines (the platform's word on gaps not counted), or when it has
    looked at so much that others would have to wait.
    """

    source: LogSource
    span: Span
    stopped_at: Cursor | None = None
    found: list[Found] = field(default_factory=list)
    _counted: int = 0
    _spent_bytes: int = 0

    def forward(self, runs: Iterable[Run]) -> list[Found]:
        """Lines from the oldest on."""
        for run in runs:
            if not self._run_forward(run):
                break
        return self.found

    def backward(self, runs: Iterable[Run]) -> list[Found]:
        """Lines from the newest on, newest first."""
        for run in runs:
            if not self._run_backward(run):
                break
        return self.found

    def _run_forward(self, run: Run) -> bool:
        """Whether to go on with the next run."""
        number, ceiling = self.span.floor(run), self.span.ceiling(run)
        for batch in self.source.forward(run.run_id, number):
            if batch.blocks[0].ts_ms > self.span.wanted.until_ms:
                return True
            if ceiling is not None and batch.first >= ceiling:
                return False
            self._mark_gap(run, batch, number + 1, batch.first - 1)
            for line in self._lines(batch.numbered(), number, ceiling):
                if self._counted == self.span.limit:
                    self._stop_at_last()
                    return False
                self._take(run, line)
            number = batch.last
            if self._is_spent(batch):
                self.stopped_at = Cursor(run.epoch, number)
                return False
        return True

    def _run_backward(self, run: Run) -> bool:
        """Whether to go on with the run before."""
        floor, ceiling = self.span.floor(run), self.span.ceiling(run)
        lowest: int | None = None
        for batch in self.source.backward(run.run_id, ceiling):
            if batch.last_ts_ms < self.span.wanted.since_ms or batch.last <= floor:
                return self.span.after is None or self.span.after.epoch != run.epoch
            if lowest is not None:
                self._mark_gap(run, batch, batch.last + 1, lowest - 1)
            below = ceiling if lowest is None else lowest
            for line in self._lines_backward(batch, floor, below):
                if self._counted == self.span.limit:
                    self._stop_at_last()
                    return False
                self._take(run, line)
            lowest = batch.first
            if self._is_spent(batch):
                self.stopped_at = Cursor(run.epoch, lowest)
                return False
        if lowest is not None and self.found:
            self._mark_head(run, floor, lowest)
        return True

    def _mark_head(self, run: Run, floor: int, lowest: int) -> None:
        if lowest > floor + 1 and self.span.wanted.shows_gaps:
            self.found.append((run, gap_line(floor + 1, lowest - 1, self.found[-1][1].ts_ms)))

    def _mark_gap(self, run: Run, batch: Batch, first: int, last: int) -> None:
        wanted, ts_ms = self.span.wanted, batch.blocks[0].ts_ms
        if last >= first and wanted.shows_gaps and wanted.since_ms <= ts_ms <= wanted.until_ms:
            self.found.append((run, gap_line(first, last, ts_ms)))

    def _lines(
        self, blocks: Iterable[tuple[int, Block]], above: int, below: int | None
    ) -> Iterator[Line]:
        """The wanted lines with numbers between these; blocks without one are not looked into."""
        high = _NO_END if below is None else below
        for first, block in blocks:
            if first + block.count - 1 > above and first < high:
                for line in self.span.wanted.lines(first, block):
                    if above < line.number < high:
                        yield line

    def _lines_backward(self, batch: Batch, above: int, below: int | None) -> Iterator[Line]:
        for numbered in reversed([*batch.numbered()]):
            yield from reversed([*self._lines([numbered], above, below)])

    def _stop_at_last(self) -> None:
        run, last = self.found[-1]
        self.stopped_at = Cursor(run.epoch, last.number)

    def _take(self, run: Run, line: Line) -> None:
        self.found.append((run, line))
        self._counted += 1

    def _is_spent(self, batch: Batch) -> bool:
        self._spent_bytes += _ENTRY_BYTES + sum(len(block.data) for block in batch.blocks)
        is_costly = bool(self.span.wanted.where)
        return self._spent_bytes > (_BUDGET_PARSED_BYTES if is_costly else _BUDGET_BYTES)
