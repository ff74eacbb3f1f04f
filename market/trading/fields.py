"""Reading one field of a body, with its path in the message when it is not what it has to be."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from market.errors import GraphInvalidError

Word = TypeVar("Word", bound=StrEnum)
Body = Mapping[str, Any]


def mapping(value: Any, path: str) -> Body:
    """A JSON object. Raises GraphInvalidError for anything else."""
    if not isinstance(value, Mapping):
        raise GraphInvalidError(path, "has to be an object")
    return value


def rows(value: Any, path: str, most: int) -> list[Any]:
    """A JSON array of at most `most` items."""
    if not isinstance(value, list):
        raise GraphInvalidError(path, "has to be an array")
    if len(value) > most:
        raise GraphInvalidError(path, f"has {len(value)} items, at most {most} are taken")
    return value


def text(value: Any, path: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise GraphInvalidError(path, "has to be a text that is not empty")
    return value


def integer(value: Any, path: str, least: int, most: int) -> int:
    """An integer within bounds; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise GraphInvalidError(path, f"has to be an integer of {least} to {most}")
    return value


def number(value: Any, path: str) -> float:
    """A finite number above zero."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < 1e12:
        raise GraphInvalidError(path, "has to be a number above zero")
    return float(value)


def word(kind: type[Word], value: Any, path: str, *, but: Word | None = None) -> Word:
    """One of the words of an enumeration, in any case; `but` is not open to callers."""
    words = [one for one in kind if one is not but]
    for one in words:
        if one == str(value).lower():
            return one
    raise GraphInvalidError(path, f"{value!r} is unknown; take one of {', '.join(words)}")
