"""What request schemas are made of: text that can be stored, and no unknown key unnoticed."""

import difflib
from collections.abc import Mapping
from typing import Any

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


_COMPARED_CHARS = 64


class RequestSchema(Schema):
    """A schema that refuses keys it does not know."""

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
