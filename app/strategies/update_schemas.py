"""Shape of a change in place: a merge patch, in which null removes."""

from typing import Any

from marshmallow import ValidationError, fields

from app.api.schema import RequestSchema, Text
from app.strategies.policy_schemas import POLICIES
from app.strategies.schemas import (
    PlacementSchema,
    ResourcesSchema,
    hold_variables,
)

TABLES = {"placement": PlacementSchema, "resources": ResourcesSchema, **POLICIES}
"""Tables that are merged key by key, with the schema that the result has to meet."""


def _variables(value: dict[str, str | None]) -> None:
    hold_variables({name: text or "" for name, text in value.items()})


def _plain_keys(value: dict[str, Any]) -> None:
    if any("\0" in name for name in value):
        raise ValidationError("must not hold a NUL character")


def _values() -> fields.Dict:
    values = Text(allow_none=True)
    return fields.Dict(keys=Text(), values=values, allow_none=True, validate=_variables)


def _table() -> fields.Dict:
    return fields.Dict(keys=fields.String(), allow_none=True, validate=_plain_keys)


class UpdateSchema(RequestSchema):
    """Body of `PATCH /v1/strategies/{id}`.

    Each table that is given is merged into the present one, key by key: null removes a key, and
    null instead of a table all of them. What is not given stays as it is.
    """

    env = _values()
    secrets = _values()
    placement = _table()
    resources = _table()
    network = _table()
    restart = _table()
    stop = _table()
    hooks = _table()
    watchdog = _table()
    schedule = _table()
    deploy = _table()
