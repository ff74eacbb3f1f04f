"""The settings of the paper market, and of the real service in its place."""

from collections.abc import Mapping
from dataclasses import dataclass

from app import settings_parsers as parse
from app.access_settings import AccessSettings
from app.settings_variable import variable


@dataclass(frozen=True)
class MarketSettings(AccessSettings):
    """What of the environment is about trading; money in dollars."""

    market_source: str = variable(
        "MARKET_SOURCE",
        "Where the paper market's prices come from: simulated, replay of a recorded file, or ccxt:"
        " the public books of real exchanges (needs requirements-ccxt.txt).",
        parser=parse.one_of("simulated", "replay", "ccxt"),
        default="simulated",
    )
    market_seed: int = variable(
        "MARKET_SEED",
        "The same seed gives the same simulated markets and prices.",
        parser=parse.integer(0, 1 << 62),
        unit="whole number",
        default="1",
    )
    market_replay_file: str = variable(
        "MARKET_REPLAY_FILE",
        "The recorded books that MARKET_SOURCE=replay shows: JSON lines.",
        parser=parse.text,
        unit="path of a file",
    )
    market_exchanges: Mapping[str, tuple[str, ...]] = variable(
        "MARKET_EXCHANGES",
        "The books that MARKET_SOURCE=ccxt shows, of coinbase, binance and kraken.",
        parser=parse.books,
        unit="exchange:pair, separated by commas",
        default="coinbase:BTC-USD,coinbase:ETH-USD,kraken:BTC-USD,kraken:ETH-USD",
    )
    market_paper_cash_usd: int = variable(
        "MARKET_PAPER_CASH_USD",
        "Paper money that every account begins with.",
        parser=parse.integer(0, 1_000_000_000),
        unit="dollars",
        default="100000",
    )
    sequence_upstream_url: str = variable(
        "SEQUENCE_UPSTREAM_URL",
        "A real trading service that strategies call instead of this platform; empty: the paper"
        " market here. With it no market runs.",
        parser=parse.optional_http_url,
        unit="URL",
    )
