"""Shapes of questions and answers about trading."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.schema import Count, Flag, RequestSchema, Text, Whole
from market.web.fields import comma_separated

_MOST_ROWS = 500
_MOST_1E8 = 10**20


class PageSchema(RequestSchema):
    """Query of a list: the newest first."""

    limit = Whole(load_default=50, validate=validate.Range(1, _MOST_ROWS))
    offset = Whole(load_default=0, validate=validate.Range(0, 1 << 40))
    symbol = Text(load_default=None, validate=validate.Length(max=400))


class OrdersQuerySchema(PageSchema):
    """Query of `GET /v1/orders`; `node_order_id` asks for that one alone."""

    node_order_id = Text(load_default=None, validate=validate.Length(max=200))


class PositionsQuerySchema(RequestSchema):
    """Query of `GET /v1/positions/unified`: venues and kinds, separated by commas; none: all."""

    venues = comma_separated(20)
    kinds = comma_separated(20)
    include_closed = fields.Boolean(load_default=False)


class RedeemQuerySchema(RequestSchema):
    """Query of a redemption."""

    venue = Text(required=True, validate=validate.OneOf(["kalshi", "polymarket"]))


class SubmitSchema(Schema):
    """Body of `POST /v1/orders`: nodes and edges, or the simple form; the market reads it."""

    class Meta:
        unknown = "include"

    nodes = fields.List(fields.Raw(metadata={"type": "object"}))
    edges = fields.List(fields.Raw(metadata={"type": "object"}))
    graph_id = Text(allow_none=True)
    is_sandbox = Flag(allow_none=True)


class ConstraintsSchema(RequestSchema):
    """The new limit, in prices of what the order trades."""

    max_price_1e9 = Count(required=True, validate=validate.Range(1, 10**18))


class AmendSchema(RequestSchema):
    """Body of `PATCH /v1/orders/{node_order_id}`: new whole quantity, new limit, or both."""

    new_qty_1e8 = Count(load_default=None, validate=validate.Range(1, _MOST_1E8))
    new_constraints = fields.Nested(ConstraintsSchema, load_default=None)

    @validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        if data["new_qty_1e8"] is None and data["new_constraints"] is None:
            raise ValidationError("give new_qty_1e8, new_constraints, or both")


class KillSwitchSchema(RequestSchema):
    """Body of `POST /v1/kill_switch`, which may be empty."""

    reason = Text(load_default=None, allow_none=True, validate=validate.Length(max=500))


class SandboxSettingsSchema(RequestSchema):
    """Body of `PUT /v1/sandbox/settings`."""

    start_cash_usd = Count(required=True, validate=validate.Range(0, 1_000_000_000))


class SubmittedSchema(Schema):
    """A graph that was taken."""

    graph_id = fields.String()
    status = fields.String()
    node_count = fields.Integer()
    edge_count = fields.Integer()


class NodeSchema(Schema):
    """A node of a graph."""

    node_id = fields.String()
    state = fields.String()
    qty_1e8 = fields.Integer()
    filled_qty_1e8 = fields.Integer()
    reason = fields.String(allow_none=True)


class GraphSchema(SubmittedSchema):
    """A graph with its nodes; `completed` lags the fills by two seconds, as documented."""

    nodes = fields.List(fields.Nested(NodeSchema))


class GraphStateSchema(Schema):
    """What became of a graph."""

    graph_id = fields.String()
    status = fields.String()


class OrderSchema(Schema):
    """One order; prices in those of its symbol."""

    node_order_id = fields.String()
    graph_id = fields.String()
    node_id = fields.String()
    symbol = fields.String()
    venue = fields.String()
    side = fields.String()
    price_1e9 = fields.Integer(allow_none=True)
    qty_1e8 = fields.Integer()
    filled_qty_1e8 = fields.Integer()
    tif = fields.String()
    status = fields.String()
    reason = fields.String(allow_none=True)
    created_at_ns = fields.Integer()


class OrdersSchema(Schema):
    """A page of orders."""

    orders = fields.List(fields.Nested(OrderSchema))
    total = fields.Integer()
    limit = fields.Integer()
    offset = fields.Integer()
    has_more = fields.Boolean()


class FillSchema(Schema):
    """One fill; `node_order_id` begins with `graph:{graph_id}:`."""

    node_order_id = fields.String()
    graph_id = fields.String()
    node_id = fields.String()
    symbol = fields.String()
    venue = fields.String()
    side = fields.String()
    price_1e9 = fields.Integer()
    qty_1e8 = fields.Integer()
    fee_usd_1e9 = fields.Integer()
    liquidity = fields.String()
    ts_ns = fields.Integer()


class FillsSchema(Schema):
    """A page of fills."""

    fills = fields.List(fields.Nested(FillSchema))
    limit = fields.Integer()
    offset = fields.Integer()
