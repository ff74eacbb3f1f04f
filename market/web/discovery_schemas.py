"""Shapes of discovery: what may be asked, and the uniform row."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.schema import RequestSchema, Text
from market.quotes.discovery import MAX_LIMIT

_EXPANSION = validate.OneOf(["outcomes"], error="the one expansion is 'outcomes'")


def _no_tag_id(*, value: Any) -> validate.OneOf:
    """Accepts what says nothing."""
    return validate.OneOf([value], error="tags have no ids here; give `tag` by its name")


class MarketsQuerySchema(RequestSchema):
    """Query of `GET /v1/markets`."""

    venue = fields.String(load_default="polymarket")
    q = Text(load_default=None, validate=validate.Length(max=400))
    slug = Text(load_default=None, validate=validate.Length(max=400))
    clob_token_id = fields.String(load_default=None, validate=validate.Length(max=100))
    tag = Text(load_default=None, validate=validate.Length(max=100))
    active = fields.Boolean(load_default=True)
    closed = fields.Boolean(load_default=False)
    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String(load_default=None)
    order = fields.String(load_default="")
    expand = fields.String(load_default=None, validate=_EXPANSION)
    tag_id = fields.Integer(load_default=None, validate=_no_tag_id(value=0))
    exclude_tag_id = fields.Integer(load_default=None, validate=_no_tag_id(value=0))
    related_tags = fields.Boolean(load_default=False, validate=_no_tag_id(value=False))


class SettlementQuerySchema(RequestSchema):
    """Query of `GET /v1/settlement/{slug}`; there is no underlying curve here."""

    underlying = fields.Boolean(load_default=False)


class _Price(fields.Float):
    """A price, or null for an empty side."""

    def __init__(self) -> None:
        super().__init__(allow_none=True)


class MarketRowSchema(Schema):
    """One market, or a whole event when its markets were not asked for; dates in ISO 8601."""

    venue = fields.String()
    slug = fields.String()
    symbol = fields.String(allow_none=True)
    question = fields.String()
    outcomes = fields.List(fields.String())
    outcome_token_ids = fields.List(fields.String())
    yes_token_id = fields.String(allow_none=True)
    no_token_id = fields.String(allow_none=True)
    event_id = fields.String()
    parent_event_id = fields.String()
    parent_slug = fields.String()
    tags = fields.List(fields.String())
    neg_risk = fields.Boolean()
    liquidity = fields.Float()
    volume_24h = fields.Float()
    volume_total = fields.Float()
    best_yes_bid = _Price()
    best_yes_ask = _Price()
    best_no_bid = _Price()
    best_no_ask = _Price()
    spread_pct = _Price()
    start_date = fields.String()
    end_date = fields.String()
    active = fields.Boolean()
    closed = fields.Boolean()
    url = fields.String()
    outcome_name = fields.String(allow_none=True)
    raw_outcome_name = fields.String(allow_none=True)
    outcome_index = fields.Integer()
    is_placeholder_outcome = fields.Boolean()


class MarketsSchema(Schema):
    """A page; `next_cursor` leads to the next one."""

    markets = fields.List(fields.Nested(MarketRowSchema))
    count = fields.Integer()
    venue = fields.String()
    next_cursor = fields.String(allow_none=True)
    has_more = fields.Boolean()


class SettlementSchema(Schema):
    """How a market ended, or where it stands; times in Unix seconds."""

    slug = fields.String()
    question = fields.String()
    yes_token_id = fields.String()
    no_token_id = fields.String()
    condition_id = fields.String()
    neg_risk = fields.Boolean()
    status = fields.String()
    resolved_outcome = fields.String(allow_none=True)
    outcome_source = fields.String()
    yes_price = _Price()
    no_price = _Price()
    event_start_s = fields.Integer()
    event_end_s = fields.Integer()
    resolution_source = fields.String()
    underlying = fields.Raw(metadata={"type": "null"})
