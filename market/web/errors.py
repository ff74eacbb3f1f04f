"""Errors of the market as answers, in the envelope of all errors."""

from flask import Flask, Response

from app.api.envelope import answer
from app.errors import (
    AppError,
    BadRequestError,
    Detail,
    InvalidParamsError,
    NotFoundError,
    UnavailableError,
)
from market.errors import MarketError, MarketUnknownError, QueryInvalidError, SymbolInvalidError
from market.feed import MarketAwayError

_RETRY_AFTER_S = 1


class MarketUnavailableError(UnavailableError):
    """No market process answers."""

    code = "MARKET_UNAVAILABLE"


def init_app(app: Flask) -> None:
    """Answer every error of the market."""
    app.register_error_handler(MarketError, _answer)


def as_app_error(error: MarketError) -> AppError:
    """The error with its status and code."""
    text = str(error)
    match error:
        case MarketAwayError():
            return MarketUnavailableError(text, retry_after_s=_RETRY_AFTER_S)
        case MarketUnknownError():
            return NotFoundError(text)
        case SymbolInvalidError():
            return InvalidParamsError(text, [Detail("symbol", text)])
        case QueryInvalidError():
            return InvalidParamsError(text, [Detail(error.field, text)])
        case _:
            return BadRequestError(text)


def _answer(error: MarketError) -> Response:
    return answer(as_app_error(error))
