"""How log lines lie in Redis.

One stream per run, `logs:{run_id}`. Lines of a run are numbered from 1; an entry holds many of
them, and its id is the number of its last line. So an append that is sent twice is stored once
(Redis refuses an id that is not greater), trimming can go by lines, and a cursor into the log is
`{epoch}-{line}`: it orders across the runs of a strategy and resumes without gap or repeat.

An entry's lines stay the bytes that were read; a head says which of them came when, and from where
(docs/decisions/0007). A second stream, `runs:{strategy_id}`, only wakes followers when a run begins
or ends.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

DUE_KEY = "logs-due"
"""A set of the runs that have lines for the archive; only a hint, rows and numbers decide."""

TAKEN_KEY = "logs-due-taken"
"""Those of them that somebody archives just now, or did when it was killed."""

_HEAD = b"head"
_BODY = b"body"
_END = b"end"
_NOTICES_KEPT = 64
_FIRST_COUNT = 32
_MAX_COUNT = 2048
_ANSWER_BYTES = 1 << 20


class Channel(StrEnum):
    """Where a line comes from; `system` is the platform's own voice."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"


_CODES = {Channel.STDOUT: b"o", Channel.STDERR: b"e", Channel.SYSTEM: b"s"}
_CHANNELS = {code: str(channel) for channel, code in _CODES.items()}


@dataclass(frozen=True)
class Line:
    """One line of a log; `number` counts from 1 within its run, `ts_ms` is Unix milliseconds."""

    number: int
    ts_ms: int
    channel: str
    text: str


@dataclass(frozen=True)
class Block:
    """Lines of one channel that were read at one moment.

    Attributes:
        data: `count` lines as bytes, each with a newline at its end.
    """

    ts_ms: int
    channel: str
    count: int
    data: bytes


@dataclass(frozen=True)
class Batch:
    """Blocks whose lines are numbered from `first` on; `is_end` marks the last of its run."""

    first: int
    blocks: tuple[Block, ...]
    is_end: bool = False

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.first + sum(block.count for block in self.blocks) - 1

    @property
    def last_ts_ms(self) -> int:
        """When the last line was read."""
        return self.blocks[-1].ts_ms

    def numbered(self) -> Iterator[tuple[int, Block]]:
        """Each block with the number of its first line."""
        number = self.first
        for block in self.blocks:
            yield number, block
            number += block.count

    @property
    def lines(self) -> list[Line]:
        """The lines as text; bytes that are no UTF-8 are replaced."""
        return [line for number, block in self.numbered() for line in lines_of(number, block)]


def lines_of(first: int, block: Block) -> Iterator[Line]:
    """The lines of a block whose first has this number."""
    ts_ms, channel = block.ts_ms, block.channel
    for number, raw in enumerate(block.data[:-1].split(b"\n"), first):
        yield Line(number, ts_ms, channel, raw.decode("utf-8", "replace"))


def block_of(ts_ms: int, channel: str, text: str) -> Block:
    """A block with this one line; what would break it in two becomes a blank."""
    data = text.replace("\n", " ").encode(errors="replace") + b"\n"
    return Block(ts_ms, channel, 1, data)


def logs_key(run_id: str) -> str:
    """Key of a run's log."""
    return f"logs:{run_id}"


def notices_key(strategy_id: str) -> str:
    """Key of the stream that wakes a strategy's followers."""
    return f"runs:{strategy_id}"


def entry_id(last_number: int) -> str:
    """Id of the entry whose last line has this number; also the cursor behind that line."""
    return f"{last_number}-0"


def encode(blocks: Sequence[Block], *, is_end: bool = False) -> dict[bytes, bytes]:
    """The fields of an entry with these blocks."""
    heads = [
        b"%d%b%d,%d" % (block.ts_ms, _CODES[Channel(block.channel)], block.count, len(block.data))
        for block in blocks
    ]
    fields = {_HEAD: b" ".join(heads), _BODY: b"".join([block.data for block in blocks])}
    return fields | {_END: b"1"} if is_end else fields


def decode(raw_id: bytes, fields: dict[bytes, bytes]) -> Batch:
    """An entry as Redis returns it."""
    body, blocks, place, total = fields[_BODY], [], 0, 0
    for head in fields[_HEAD].split():
        # Thirteen digits of milliseconds until the year 2286.
        ts_ms, code, rest = head[:13], head[13:14], head[14:]
        count, _, size = rest.partition(b",")
        end = place + int(size)
        blocks.append(Block(int(ts_ms), _CHANNELS[code], int(count), body[place:end]))
        place = end
        total += int(count)
    last = int(raw_id.partition(b"-")[0])
    return Batch(last - total + 1, tuple(blocks), _END in fields)


def decode_all(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Batch]:
    """Several entries."""
    return [decode(raw_id, fields) for raw_id, fields in entries]


def forward(redis: Redis, run_id: str, number: int) -> Iterator[Batch]:
    """The stored batches that end behind line `number`, oldest first."""
    cursor, count = f"({entry_id(number)}", _FIRST_COUNT
    while True:
        entries = _entries(redis.xrange(logs_key(run_id), min=cursor, count=count))
        yield from decode_all(entries)
        if len(entries) < count:
            return
        cursor = f"({entries[-1][0].decode()}"
        count = _next_count(count, entries)


def backward(redis: Redis, run_id: str) -> Iterator[Batch]:
    """The stored batches, newest first."""
    cursor, count = "+", _FIRST_COUNT
    while True:
        entries = _entries(redis.xrevrange(logs_key(run_id), max=cursor, count=count))
        yield from decode_all(entries)
        if len(entries) < count:
            return
        cursor = f"({entries[-1][0].decode()}"
        count = _next_count(count, entries)


def read_after(redis: Redis, run_id: str, number: int, limit: int) -> list[Line]:
    """Up to `limit` lines behind line `number`, oldest first."""
    found: list[Line] = []
    for batch in forward(redis, run_id, number):
        found.extend(line for line in batch.lines if line.number > number)
        if len(found) >= limit:
            break
    return found[:limit]


def trim(redis: Redis, run_id: str, oldest: int) -> None:
    """Remove the entries that end before line `oldest`."""
    redis.xtrim(logs_key(run_id), minid=entry_id(oldest), approximate=False)


def notify(redis: Redis, strategy_id: str) -> None:
    """Wake the strategy's followers; never raises, for they look by themselves as well."""
    try:
        add_notice(redis, strategy_id)
    except RedisError as error:
        log.warning("notify_failed", extra={"strategy_id": strategy_id, "error": str(error)})


def add_notice(redis: Any, strategy_id: str) -> None:
    """Add a notice through a client or to a pipeline."""
    redis.xadd(notices_key(strategy_id), {b"n": b"1"}, maxlen=_NOTICES_KEPT, approximate=True)


def delete(redis: Redis, strategy_id: str, run_ids: Sequence[str]) -> None:
    """Remove a strategy's notices and the logs of these runs."""
    redis.delete(notices_key(strategy_id), *map(logs_key, run_ids))


def delete_runs(redis: Redis, run_ids: Sequence[str]) -> None:
    """Remove the logs of these runs."""
    redis.delete(*map(logs_key, run_ids))


def _next_count(count: int, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> int:
    """Small entries are fetched more at a time; an answer stays about a mebibyte."""
    size = sum(len(fields[_BODY]) for _, fields in entries)
    return min(_MAX_COUNT, count * 4) if size < _ANSWER_BYTES // 4 else count


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return cast(list[tuple[bytes, dict[bytes, bytes]]], answer)
