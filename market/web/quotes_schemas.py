"""Shapes of quotes: what may be asked, and what is answered."""

from marshmallow import Schema, fields, validate

from app.api.schema import Count, Flag, RequestSchema, Text
from market.quotes.levels import MAX_DEPTH
from market.symbols import Kind
from market.web.fields import DEFAULT_DEPTH, comma_separated, depth

BATCH_MAX = 2_000
POINTS_MAX = 50_000
UNIX_S_MAX = 2**33


class QuoteQuerySchema(RequestSchema):
    """Query of `GET /v1/quotes/{symbol}`: levels on each side, and not to wait for a first book."""

    depth = depth()
    nowait = fields.Boolean(load_default=False)


class QuotesQuerySchema(QuoteQuerySchema):
    """Query of `GET /v1/quotes`: symbols, separated by commas."""

    symbols = comma_separated(BATCH_MAX, required=True)


class QuotesBatchSchema(RequestSchema):
    """Body of `POST /v1/quotes_batch`; `nowait` and `concurrency` change nothing here."""

    symbols = fields.List(Text(), required=True, validate=validate.Length(1, BATCH_MAX))
    depth = Count(load_default=DEFAULT_DEPTH, validate=validate.Range(1, MAX_DEPTH))
    nowait = Flag(load_default=True)
    concurrency = Count(load_default=64, validate=validate.Range(1, 256))
    instrument_type = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf([str(kind) for kind in Kind])
    )


class HistoryQuerySchema(RequestSchema):
    """Query of `GET /v1/price_history/{symbol}`; times in Unix seconds."""

    range = fields.String(load_default="1d")
    fidelity_secs = fields.Integer(load_default=60, validate=validate.Range(0, UNIX_S_MAX))
    start_ts = fields.Integer(load_default=None, validate=validate.Range(0, UNIX_S_MAX))
    end_ts = fields.Integer(load_default=None, validate=validate.Range(0, UNIX_S_MAX))
    limit = fields.Integer(load_default=None, validate=validate.Range(1, POINTS_MAX))
    venue = fields.String(load_default=None)
    paginate = fields.Boolean(load_default=False)
    underlying = fields.Boolean(load_default=False)


class NbboSchema(Schema):
    """Best prices over all venues; mid and spread are 0 unless there is a bid below an ask."""

    bid = fields.Float()
    ask = fields.Float()
    mid = fields.Float()
    spread_bps = fields.Float()


class VenueQuoteSchema(Schema):
    """Best prices and sizes on one venue, and how long ago its book changed."""

    bid = fields.Float()
    ask = fields.Float()
    bid_size = fields.Float()
    ask_size = fields.Float()
    age_ms = fields.Integer()


class LevelsSchema(Schema):
    """`[[price, size], ...]` on each side, best first."""

    bids = fields.List(fields.List(fields.Float()))
    asks = fields.List(fields.List(fields.Float()))


class QuoteSchema(Schema):
    """One quote; `error` instead of prices in an answer to several symbols."""

    symbol = fields.String()
    nbbo = fields.Nested(NbboSchema)
    venues = fields.Dict(keys=fields.String(), values=fields.Nested(VenueQuoteSchema))
    book = fields.Nested(LevelsSchema)
    source = fields.String()
    error = fields.String()


class QuotesSchema(Schema):
    """Several quotes, in the order of the symbols."""

    quotes = fields.List(fields.Nested(QuoteSchema))
    count = fields.Integer()
    elapsed_ms = fields.Integer()


class PointSchema(Schema):
    """A bar's last price, or with the other fields a single trade."""

    ts_ns = fields.Integer()
    price_1e9 = fields.Integer()
    qty_1e8 = fields.Integer()
    side = fields.String()
    venue_id = fields.String()


class HistorySchema(Schema):
    """`{symbol, range, fidelity_secs, count, points}`."""

    symbol = fields.String()
    range = fields.String()
    fidelity_secs = fields.Integer()
    count = fields.Integer()
    points = fields.List(fields.Nested(PointSchema))
