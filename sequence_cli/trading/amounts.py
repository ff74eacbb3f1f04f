"""Quantities and prices: as typed, as the wire has them (``_1e8``, ``_1e9``), and as shown."""

from decimal import Decimal, InvalidOperation

import click

PRICE_DIGITS = 9
QTY_DIGITS = 8
_MOST = Decimal(10) ** 9


class Amount(click.ParamType[Decimal]):
    """A number above zero with at most ``digits`` decimals; the command gets a ``Decimal``."""

    name = "number"

    def __init__(self, digits: int) -> None:
        self._digits = digits

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            self.fail(f"{value!r} is no number; write it like 0.001", param, ctx)
        if not number.is_finite() or number <= 0:
            self.fail(f"{value} is not above zero", param, ctx)
        if number > _MOST:
            self.fail(f"{value} is above {_MOST:,}: is it in the right unit?", param, ctx)
        if number != round(number, self._digits):
            self.fail(f"{value} has more than {self._digits} decimals; round it", param, ctx)
        return number


QTY = Amount(QTY_DIGITS)
PRICE = Amount(PRICE_DIGITS)


def on_wire(number: Decimal, digits: int) -> int:
    """The integer that the wire has: a price with 9 digits, a quantity with 8."""
    return int(number.scaleb(digits))


def from_wire(value: object, digits: int) -> str:
    """An integer of the wire as people read it; ``-`` for none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return "-"
    return plain(Decimal(value).scaleb(-digits))


def shown(value: object) -> str:
    """A plain float of the wire, without noise and without an exponent; ``-`` for none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return plain(round(Decimal(str(value)), PRICE_DIGITS))


def dollars(value: Decimal) -> str:
    """Money to the cent, or finer when it is less than a dollar."""
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.4f}"


def plain(number: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
