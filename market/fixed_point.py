"""Numbers of the wire: prices in 1e-9, quantities in 1e-8, money exact in 1e-17 of a dollar.

Inside the market everything is an integer, so that nothing is lost or made by rounding.
"""

PRICE_SCALE = 1_000_000_000
QTY_SCALE = 100_000_000
MONEY_SCALE = PRICE_SCALE * QTY_SCALE
ONE_DOLLAR_1E9 = PRICE_SCALE
# The published client truncates: int(2.09 * 1e9) arrives as 2089999999, 0.0003 as 29999e-8.
WIRE_NOISE = 2


def price_1e9(price: float) -> int:
    """A price in dollars as the nearest integer of 1e-9."""
    return round(price * PRICE_SCALE)


def qty_1e8(qty: float) -> int:
    """A quantity as the nearest integer of 1e-8."""
    return round(qty * QTY_SCALE)


def price_float(value_1e9: int) -> float:
    """The plain float that a quote shows."""
    return value_1e9 / PRICE_SCALE


def qty_float(value_1e8: int) -> float:
    """The plain float that a quote shows."""
    return value_1e8 / QTY_SCALE


def money_float(value_1e17: int) -> float:
    """Dollars as a plain float, for sums that are only shown."""
    return value_1e17 / MONEY_SCALE


def snapped(value: int, step: int) -> int:
    """`value` as the client meant it: on its step when it misses that by float noise alone."""
    nearest = (value + step // 2) // step * step
    return nearest if abs(value - nearest) <= WIRE_NOISE else value
