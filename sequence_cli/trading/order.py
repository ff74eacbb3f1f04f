"""The body of ``POST /v1/orders`` for one order, exact to the last digit."""

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sequence_cli.errors import CliError
from sequence_cli.trading.amounts import PRICE_DIGITS, QTY_DIGITS, on_wire

_PAIR = re.compile(r"[A-Z0-9]{1,12}[-/](USD|USDC|USDT|EUR|GBP|BTC|ETH)", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """One order as it was typed; ``limit`` is None for a market order."""

    side: str
    symbol: str
    qty: Decimal
    limit: Decimal | None
    venue: str | None
    tif: str | None
    urgency: str | None

    @property
    def is_prediction(self) -> bool:
        """Whether the symbol is of a prediction market: everything that is no pair."""
        return _PAIR.fullmatch(self.symbol) is None

    def check(self) -> None:
        """CliError for a limit that no prediction market has."""
        if self.is_prediction and self.limit is not None and self.limit >= 1:
            raise CliError(
                f"a limit of {self.limit} dollars: prices of prediction markets lie between 0 and "
                "1 (55 cents are 0.55)"
            )

    def words(self) -> str:
        """The order in one line."""
        price = "at the market" if self.limit is None else f"at {self.limit} or better"
        return f"{self.side} {self.qty} {self.symbol} {price}"


def order_body(wanted: Wanted, *, sandbox: bool) -> dict[str, Any]:
    """A graph of one node under an id of its own, so that sending it again changes nothing."""
    order_type: Any = "market"
    if wanted.limit is not None:
        order_type = {"limit": {"price_1e9": on_wire(wanted.limit, PRICE_DIGITS)}}
    execution = {"tif": wanted.tif, "urgency": wanted.urgency}
    node = {
        "node_id": "order",
        "instrument": {
            "symbol": wanted.symbol,
            "type": "prediction" if wanted.is_prediction else "spot",
            "venue": wanted.venue,
        },
        "side": wanted.side,
        "order_type": order_type,
        "quantity": {"fixed": {"qty_1e8": on_wire(wanted.qty, QTY_DIGITS)}},
        "execution": {name: value for name, value in execution.items() if value is not None},
        "activation": "root",
    }
    return {
        "graph_id": f"cli-{uuid.uuid4().hex[:20]}",
        "nodes": [node],
        "edges": [],
        "is_sandbox": sandbox,
    }
