"""Which lines a reader wants: by channel, time, substring, and by fields if they are JSON."""

import json
import math
import operator
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.errors import Detail, InvalidParamsError
from app.logs.stream import Block, Channel, Line, lines_of

_CONDITION = re.compile(r"([^\W\d][\w-]*(?:\.[\w-]+)*)\s*(>=|<=|!=|==|=|>|<)\s*(.*)", re.DOTALL)
_WHOLE = re.compile(r"[+-]?\d{1,4000}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_UNIX = re.compile(r"\d{1,14}(?:\.\d{1,6})?", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_MILLISECONDS_FROM = 1e11
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """`event=filled` or `order.qty>5`: a field of a JSON line, compared with a value.

    Numbers are compared as numbers, all else as text; a number and what is none can only be the
    same text or not. A line without the field does not match.
    """

    path: tuple[str, ...]
    compare: Callable[[Any, Any], bool]
    text: str
    number: int | float | None

    def matches(self, fields: Any) -> bool:
        """Whether an object's field is as it should be."""
        for name in self.path:
            if not isinstance(fields, dict) or name not in fields:
                return False
            fields = fields[name]
        if isinstance(fields, int | float) and not isinstance(fields, bool):
            if self.number is not None:
                return self.compare(fields, self.number)
            is_equality = self.compare in (operator.eq, operator.ne)
            return is_equality and self.compare(_as_text(fields), self.text)
        return self.compare(_as_text(fields), self.text)


@dataclass(frozen=True)
class Filter:
    """What a line has to be like; the default lets every line through.

    Attributes:
        since_ms, until_ms: Unix milliseconds, both included.
        grep: UTF-8 that the line has to contain.
    """

    channels: frozenset[str] = frozenset(Channel)
    since_ms: int = 0
    until_ms: int = 1 << 62
    grep: bytes = b""
    where: tuple[Condition, ...] = ()

    @property
    def shows_gaps(self) -> bool:
        """Whether the platform's word on missing lines belongs between these lines."""
        return Channel.SYSTEM in self.channels and not self.grep and not self.where

    def lines(self, first: int, block: Block) -> Iterator[Line]:
        """The lines of a block that pass."""
        if block.channel not in self.channels or self.grep not in block.data:
            return
        if not self.since_ms <= block.ts_ms <= self.until_ms:
            return
        if not self.grep and not self.where:
            yield from lines_of(first, block)
            return
        for number, raw in enumerate(block.data[:-1].split(b"\n"), first):
            if self.grep in raw and (not self.where or self._has_fields(raw)):
                text = raw.decode("utf-8", "replace")
                yield Line(number, block.ts_ms, block.channel, text)

    def _has_fields(self, raw: bytes) -> bool:
        if not raw.lstrip().startswith(b"{"):
            return False
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError):
            return False
        return all(condition.matches(fields) for condition in self.where)


def parse_condition(text: str) -> Condition:
    """A condition as it stands in a query.

    Raises:
        InvalidParamsError: it is none.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        message = f"where is FIELD=VALUE, such as event=filled or qty>5, not {text[:60]!r}"
        raise InvalidParamsError(message, [Detail("where", message)])
    path, sign, value = match.groups()
    return Condition(tuple(path.split(".")), _OPERATORS[sign], value, _number(value))


def parse_time_ms(text: str, field: str) -> int:
    """Unix milliseconds of `10m` (ago), of Unix seconds or milliseconds, or of an ISO 8601 time.

    Raises:
        InvalidParamsError: it is none of these.
    """
    if match := _AGO.fullmatch(text):
        return int((time.time() - float(match[1]) * _UNIT_S[match[2]]) * 1000)
    if _UNIX.fullmatch(text):
        value = float(text)
        return int(value if value >= _MILLISECONDS_FROM else value * 1000)
    try:
        # A plus sign that was not encoded arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        message = (
            f"{field} is how long ago (10m, 2h, 1d), Unix seconds or milliseconds, or a time "
            f"such as 2026-04-28T22:08:45Z, not {text[:40]!r}"
        )
        raise InvalidParamsError(message, [Detail(field, message)]) from None


def parse_channels(text: str) -> frozenset[str]:
    """One or more names of streams, separated by commas.

    Raises:
        InvalidParamsError: one is not known.
    """
    names = {name.strip() for name in text.split(",")}
    if not names <= set(Channel):
        message = f"stream is one or more of {', '.join(Channel)}, not {text[:40]!r}"
        raise InvalidParamsError(message, [Detail("stream", message)])
    return frozenset(names)


def _number(text: str) -> int | float | None:
    """Whole numbers exactly, for ids of orders have more digits than a float; None for none."""
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
