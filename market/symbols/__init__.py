"""What a caller may call an instrument, and the one identity that each name leads to."""

from market.symbols.models import Directory, Form, Instrument, Kind, Outcome, Symbol
from market.symbols.parse import parse_symbol
from market.symbols.resolve import resolve

__all__ = [
    "Directory",
    "Form",
    "Instrument",
    "Kind",
    "Outcome",
    "Symbol",
    "parse_symbol",
    "resolve",
]
