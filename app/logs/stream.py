"""How log lines lie in Redis.

One stream per run, `logs:{run_id}`. Lines of a run are numbered from 1; an entry holds a batch of
them, and its id is the number of its last line. So an append that is sent twice is stored once
(Redis refuses an id that is not greater), trimming can go by lines, and a cursor into the log is
`{epoch}-{line}`: it orders across the runs of a strategy and resumes without gap or repeat.

A second stream, `runs:{strategy_id}`, only wakes followers when a run begins or ends.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

_LINES = b"lines"
_END = b"end"
_NOTICES_KEPT = 64
READ_ENTRIES = 20
"""Entries to read at once: a hostile one takes two megabytes."""


class Channel(StrEnum):
    """Where a line comes from; `system` is the platform's own voice."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"


@dataclass(frozen=True)
class Line:
    """One line of a log; `number` counts from 1 within its run, `ts_ms` is Unix milliseconds."""

    number: int
    ts_ms: int
    channel: str
    text: str


@dataclass(frozen=True)
class Batch:
    """What one entry holds; `is_end` marks the last of its run."""

    lines: tuple[Line, ...]
    is_end: bool


def logs_key(run_id: str) -> str:
    """Key of a run's log."""
    return f"logs:{run_id}"


def notices_key(strategy_id: str) -> str:
    """Key of the stream that wakes a strategy's followers."""
    return f"runs:{strategy_id}"


def entry_id(last_number: int) -> str:
    """Id of the entry whose last line has this number; also the cursor behind that line."""
    return f"{last_number}-0"


def encode(lines: Sequence[Line], *, is_end: bool = False) -> dict[bytes, bytes]:
    """The fields of an entry with these lines, which must be numbered without a gap."""
    packed = [[line.ts_ms, line.channel, line.text] for line in lines]
    text = json.dumps(packed, ensure_ascii=False, separators=(",", ":"))
    # What UTF-8 cannot hold must not keep the lines around it.
    fields = {_LINES: text.encode(errors="replace")}
    return fields | {_END: b"1"} if is_end else fields


def decode(raw_id: bytes, fields: dict[bytes, bytes]) -> Batch:
    """An entry as Redis returns it."""
    packed = json.loads(fields[_LINES])
    first = int(raw_id.partition(b"-")[0]) - len(packed) + 1
    lines = (
        Line(first + index, ts_ms, channel, text)
        for index, (ts_ms, channel, text) in enumerate(packed)
    )
    return Batch(tuple(lines), _END in fields)


def decode_all(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Batch]:
    """Several entries."""
    return [decode(raw_id, fields) for raw_id, fields in entries]


def read_after(redis: Redis, run_id: str, number: int, limit: int) -> list[Line]:
    """Up to `limit` lines behind line `number`, oldest first."""
    found: list[Line] = []
    cursor = f"({entry_id(number)}"
    while len(found) < limit:
        entries = _entries(redis.xrange(logs_key(run_id), min=cursor, count=READ_ENTRIES))
        for batch in decode_all(entries):
            found.extend(line for line in batch.lines if line.number > number)
        if len(entries) < READ_ENTRIES:
            break
        cursor = f"({entries[-1][0].decode()}"
    return found[:limit]


def read_last(redis: Redis, run_id: str, limit: int) -> list[Line]:
    """The last `limit` lines, oldest first."""
    found: list[Line] = []
    cursor = "+"
    while len(found) < limit:
        entries = _entries(redis.xrevrange(logs_key(run_id), max=cursor, count=READ_ENTRIES))
        for batch in decode_all(entries):
            found[:0] = batch.lines
        if len(entries) < READ_ENTRIES:
            break
        cursor = f"({entries[-1][0].decode()}"
    return found[-limit:]


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


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return cast(list[tuple[bytes, dict[bytes, bytes]]], answer)
