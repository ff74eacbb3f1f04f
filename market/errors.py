"""The one family of errors of the market; whoever serves it maps them to an answer."""


class MarketError(Exception):
    """Base of what a caller of the market did wrong or we failed at; the text says what to do."""


class SymbolInvalidError(MarketError):
    """A symbol that is of none of the known forms; `symbol` is the text as it came."""

    def __init__(self, symbol: str, message: str) -> None:
        self.symbol = symbol
        shown = symbol if len(symbol) <= 120 else symbol[:117] + "..."
        super().__init__(f"{shown!r}: {message}")


class MarketUnknownError(SymbolInvalidError):
    """A symbol in good form that names nothing that is listed here."""


class SourceError(MarketError):
    """A source of prices gave something that cannot be read; says where."""


class GraphInvalidError(MarketError):
    """A body of `POST /v1/orders` that is no execution graph; `field` is the path of the fault."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


class GraphConflictError(MarketError):
    """The same `graph_id` with another body: the caller takes a new id or sends the old body."""


class QueryInvalidError(MarketError):
    """A query parameter that cannot be answered; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


class TradingHaltedError(MarketError):
    """The caller's own kill switch is engaged; it has to be cleared before anything is sent."""
