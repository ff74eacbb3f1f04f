"""What an order would cost if it were sent now: a walk through the book of its quote."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sequence_cli.trading.amounts import dollars, plain
from sequence_cli.trading.order import Wanted


@dataclass(frozen=True)
class Estimate:
    """``at_once`` of the quantity would trade now, for ``notional`` dollars in all."""

    wanted: Wanted
    at_once: Decimal
    notional: Decimal
    best: Decimal | None

    def lines(self) -> list[str]:
        """In words, one fact each."""
        verb = "costs" if self.wanted.side == "buy" else "brings"
        told = []
        if self.at_once:
            average = round(self.notional / self.at_once, 9)
            told.append(
                f"{plain(self.at_once)} of it trade at once, at {plain(average)} on average: "
                f"{verb} about {dollars(self.notional)} USD and the venue's fee"
            )
        rest = self.wanted.qty - self.at_once
        if rest and self.wanted.limit is not None:
            bound = f"binds {dollars(rest * self.wanted.limit)} USD"
            told.append(f"{plain(rest)} would rest in the book" + (
                f" and {bound}" if self.wanted.side == "buy" else ""
            ))  # fmt: skip
        elif rest:
            told.append(f"for {plain(rest)} of it nobody stands in the book now")
        if self.best is not None:
            opposite = "ask" if self.wanted.side == "buy" else "bid"
            told.append(f"the best {opposite} is {plain(self.best)}")
        return told


def estimate(wanted: Wanted, quote: dict[str, Any]) -> Estimate:
    """Walk the quote's book as far as quantity and limit allow."""
    book = quote.get("book") or {}
    levels = list(_levels(book.get("asks" if wanted.side == "buy" else "bids") or ()))
    left, notional = wanted.qty, Decimal(0)
    for price, size in levels:
        if not left or not _reaches(wanted, price):
            break
        part = min(left, size)
        left -= part
        notional += part * price
    return Estimate(wanted, wanted.qty - left, notional, levels[0][0] if levels else None)


def _levels(rows: Iterable[Any]) -> Iterable[tuple[Decimal, Decimal]]:
    for price, size in rows:
        yield Decimal(str(price)), Decimal(str(size))


def _reaches(wanted: Wanted, price: Decimal) -> bool:
    if wanted.limit is None:
        return True
    return price <= wanted.limit if wanted.side == "buy" else price >= wanted.limit
