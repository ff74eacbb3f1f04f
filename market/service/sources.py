"""The source of prices that the settings name, with what is listed for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings, SettingsError
from market.catalogue import Catalogue, Listing, simulated_catalogue
from market.engine import BookKey
from market.sources import PriceSource, ReplaySource, SimulatedSource, read_recording
from market.sources.exchanges import exchange_source
from market.symbols.models import KALSHI, PREDICTION_VENUES

NS_PER_S = 1_000_000_000
_OPEN_FOR_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Listed:
    """What is listed, and who makes its prices."""

    catalogue: Catalogue
    source: PriceSource


def listed(settings: Settings, now_ns: int, began_s: int) -> Listed:
    """`began_s` is when the very first market of this platform began: listings date from it.

    Raises SettingsError for a source that cannot be had, SourceError for a file that is wrong.
    """
    if settings.market_source == "simulated":
        catalogue = simulated_catalogue(settings.market_seed, began_s)
        return Listed(catalogue, SimulatedSource(catalogue, settings.market_seed, now_ns))
    if settings.market_source == "ccxt":
        source_of_all = exchange_source(settings.market_exchanges)
        return Listed(catalogue_of(source_of_all.keys(), began_s), source_of_all)
    if not settings.market_replay_file:
        raise SettingsError(["MARKET_REPLAY_FILE is not set, and MARKET_SOURCE=replay needs it"])
    path = Path(settings.market_replay_file)
    try:
        with path.open(encoding="utf-8") as lines:
            source = ReplaySource(list(read_recording(lines)), now_ns)
    except OSError as error:
        raise SettingsError([f"MARKET_REPLAY_FILE cannot be read: {error}"]) from None
    return Listed(catalogue_of(source.keys(), began_s), source)


def catalogue_of(keys: Iterable[BookKey], began_s: int) -> Catalogue:
    """What there is to say of books that are known by name alone."""
    found = list(keys)
    pairs = [key for key in found if key.venue not in PREDICTION_VENUES]
    return Catalogue(pairs, [_listing(key, began_s) for key in found if key not in pairs])


def _listing(key: BookKey, began_s: int) -> Listing:
    name = key.market
    is_kalshi = key.venue == KALSHI
    return Listing(
        venue=key.venue,
        slug=name,
        question=name,
        event_id=name,
        event_slug=name.rpartition("-")[0] if is_kalshi else name,
        tag="recorded",
        yes_token_id=f"{name}:YES" if is_kalshi else f"{name}:yes",
        no_token_id=f"{name}:NO" if is_kalshi else f"{name}:no",
        start_s=began_s,
        end_s=began_s + _OPEN_FOR_S,
        volume_24h=0.0,
        volume_total=0.0,
    )
