"""A line as clients see it, written as JSON by hand: a page has a thousand of them."""

from json.encoder import encode_basestring as quoted

from app.logs.cursor import Cursor
from app.logs.stream import Batch, Line


def record_json(epoch: int, run_id: str, line: Line) -> str:
    """The JSON object of a line; `id` is the cursor behind it, `ts_ms` Unix milliseconds."""
    return (
        f'{{"id":"{epoch}-{line.number}","run_id":"{run_id}","ts_ms":{line.ts_ms},'
        f'"stream":"{line.channel}","line":{quoted(line.text)}}}'
    )


def cursor_of(epoch: int, line: Line) -> str:
    """The line's id."""
    return str(Cursor(epoch, line.number))


def gap_line(first_missing: int, number: int, ts_ms: int) -> Line:
    """Our own line in place of those that are missing up to `number`."""
    gone = number - first_missing + 1
    return Line(number, ts_ms, "system", f"{gone} lines of this run are not kept any more")


def with_gap(batch: Batch, after: int) -> list[Line]:
    """The batch's lines behind line `after`, with a word on those that are missing between them."""
    lines = [line for line in batch.lines if line.number > after]
    if batch.first > after + 1:
        lines.insert(0, gap_line(after + 1, batch.first - 1, batch.blocks[0].ts_ms))
    return lines
