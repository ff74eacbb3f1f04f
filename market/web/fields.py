"""What the market's request schemas share."""

from marshmallow import fields, validate
from webargs.fields import DelimitedList

from market.quotes.levels import MAX_DEPTH

DEFAULT_DEPTH = 10


def depth() -> fields.Integer:
    """Levels of a book on each side."""
    return fields.Integer(load_default=DEFAULT_DEPTH, validate=validate.Range(1, MAX_DEPTH))


def comma_separated(most: int, *, required: bool = False) -> DelimitedList:
    """`a,b,c` of a query as a list of at most so many."""
    item = fields.String(validate=validate.Regexp(r"^[^,]+$", error="has an empty place"))
    return DelimitedList(item, required=required, validate=validate.Length(1, most))
