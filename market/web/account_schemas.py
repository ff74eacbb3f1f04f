"""Shapes of answers about an account: previews, positions, balances, switches."""

from marshmallow import Schema, fields


class EstimateSchema(Schema):
    """What an order would come to; null where nothing would trade."""

    est_price = fields.Float(allow_none=True)
    est_fill_qty = fields.Float()
    est_notional_usd = fields.Float()
    est_fee_usd = fields.Float()
    est_total_usd = fields.Float()
    est_slippage_bps = fields.Float(allow_none=True)
    taker_fee_bps = fields.Integer()


class VenueEstimateSchema(EstimateSchema):
    """The same on one venue."""

    venue = fields.String()


class PreviewSchema(EstimateSchema):
    """The estimate on the best venue, and on each."""

    symbol = fields.String()
    side = fields.String()
    qty = fields.Float()
    best_venue = fields.String()
    venues = fields.List(fields.Nested(VenueEstimateSchema))


class PositionSchema(Schema):
    """Cash, a coin, or event contracts."""

    kind = fields.String()
    symbol = fields.String()
    outcome = fields.String(allow_none=True)
    venue = fields.String(allow_none=True)
    qty_1e8 = fields.Integer()
    avg_price_1e9 = fields.Integer()
    mark_price_1e9 = fields.Integer()
    value_usd_1e9 = fields.Integer()
    unrealized_pnl_usd_1e9 = fields.Integer()
    lifecycle = fields.String()


class TotalsSchema(Schema):
    """Of an account."""

    nav_usd_1e9 = fields.Integer()
    cash_usd_1e9 = fields.Integer()
    fees_usd_1e9 = fields.Integer()


class UnifiedSchema(Schema):
    """All positions with their totals."""

    positions = fields.List(fields.Nested(PositionSchema))
    totals = fields.Nested(TotalsSchema)
    as_of_ns = fields.Integer()


class BalanceSchema(Schema):
    """What there is of one asset on one venue; dollars are on none."""

    venue = fields.String(allow_none=True)
    asset = fields.String()
    total_1e8 = fields.Integer()


class BalancesSchema(Schema):
    """`{balances}`."""

    balances = fields.List(fields.Nested(BalanceSchema))


class SwitchSchema(Schema):
    """The kill switch."""

    engaged = fields.Boolean()
    reason = fields.String(allow_none=True)


class CancelledSchema(Schema):
    """How many orders were cancelled on a venue."""

    venue = fields.String()
    cancelled = fields.Integer()


class ResetSchema(Schema):
    """The paper account as it begins anew."""

    cash_usd = fields.Integer()
    cancelled = fields.Integer()


class SettingsSchema(Schema):
    """The paper account's settings."""

    start_cash_usd = fields.Integer()
    is_halted = fields.Boolean()


class RedeemedSchema(Schema):
    """What came of a redemption."""

    mode = fields.String()
    venue = fields.String()
    slug = fields.String()
    condition_id = fields.String(allow_none=True)
    token_ids = fields.List(fields.String(), allow_none=True)
    note = fields.String()
