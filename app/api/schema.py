"""What request schemas are made of: text that can be stored, and no unknown key unnoticed."""

import difflib
import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load


def clean_text(value: str) -> None:
    """Raise ValidationError for text that neither a database nor an environment can hold."""
    if "\0" in value:
        raise ValidationError("must not hold a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("is not valid Unicode") from None


class Text(fields.String):
    """Text without NUL or lone surrogates."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        clean_text(text)
        return text


class Number(fields.Float):
    """A number of JSON: no text that looks like one, nothing infinite."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Count(fields.Integer):
    """A whole number of JSON, in which 5.0 is 5; no text that looks like one."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) or (isinstance(value, float) and not value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Flag(fields.Boolean):
    """`true` or `false` of JSON: neither 1 nor text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return bool(super()._deserialize(value, attr, data, **kwargs))


class Whole(fields.Integer):
    """A whole number in a query: digits alone, not all that Python takes for a number."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and not _DIGITS.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class PlainSchema(Schema):
    """A schema of answers whose values are JSON's own kinds already: they are shown as they are.

    marshmallow asks each field to convert its value; for a strategy that takes longer than to read
    it from the database.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._getters = {
            field.data_key or name: _getter(name, field) for name, field in self.dump_fields.items()
        }

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """`obj` by the names of the schema; a list of them if there are `many`."""
        if self.many if many is None else many:
            return [self.dump(one, many=False) for one in obj]
        return {name: get(obj) for name, get in self._getters.items()}


def _getter(name: str, field: fields.Field[Any]) -> Callable[[Any], Any]:
    if isinstance(field, fields.Function):
        return cast(Callable[[Any], Any], field.serialize_func)
    attribute = attrgetter(field.attribute or name)
    if isinstance(field, fields.Nested):
        return lambda obj: field.serialize(name, obj)
    return attribute


_DIGITS = re.compile(r"-?[0-9]{1,30}")
_COMPARED_CHARS = 64


class RequestSchema(Schema):
    """A schema that refuses keys it does not know."""

    error_messages: dict[str, str] = {"type": "must be a JSON object"}  # noqa: RUF012 - as inherited

    class Meta:
        # Unknown keys are refused below, with a better message than marshmallow's.
        unknown = EXCLUDE

    @pre_load
    def _refuse_unknown(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        known = [field.data_key or name for name, field in self.load_fields.items()]
        problems = {
            str(key): [f"unknown key {str(key)!r}{_nearest(str(key), known)}"]
            for key in data
            if key not in known
        }
        if problems:
            raise ValidationError(problems)
        return data


def _nearest(key: str, known: list[str]) -> str:
    # Nobody's slip is this long, and comparing takes seconds for megabytes.
    close = difflib.get_close_matches(key[:_COMPARED_CHARS], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
