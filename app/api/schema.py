"""The base of request schemas: an unknown key is an error that names the nearest known one."""

import difflib
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, pre_load

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
