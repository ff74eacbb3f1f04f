"""A made-up catalogue: the same seed gives the same markets, tokens and volumes."""

import hashlib
from collections.abc import Iterator
from random import Random

from market.catalogue.listings import Catalogue, Listing
from market.engine.venue_books import BookKey
from market.symbols.models import EXCHANGES, KALSHI, POLYMARKET

# Dollars; where a simulated pair begins.
SPOT_PAIRS = {
    "BTC-USD": 65_000.0,
    "ETH-USD": 3_200.0,
    "SOL-USD": 150.0,
    "XRP-USD": 0.55,
    "ADA-USD": 0.45,
    "DOGE-USD": 0.15,
}
MARKETS_PER_VENUE = 150
DAY_S = 86_400
# Title, tag, and what may happen; None for the event that is one yes-or-no question.
_EVENTS: tuple[tuple[str, str, tuple[str, ...] | None], ...] = (
    ("World Cup Winner", "sports", ("Spain", "France", "Brazil", "Argentina", "Team AA", "Other")),
    ("Fed decision", "economy", ("No change", "Cut 25 bps", "Cut 50 bps", "Hike")),
    ("Bitcoin above 70000", "crypto", None),
    ("Best Picture", "pop-culture", ("Drama", "Comedy", "Musical", "Movie B")),
    ("Election turnout above 60 percent", "politics", None),
    ("Rain in New York", "weather", None),
)
_PLACEHOLDERS = ("Team AA", "Movie B", "Other")


def simulated_catalogue(seed: int, now_s: int) -> Catalogue:
    """Six pairs on three exchanges and 300 prediction markets, half of them on each venue."""
    pairs = [BookKey(venue, pair) for pair in SPOT_PAIRS for venue in EXCHANGES]
    listings = [
        listing for venue in (KALSHI, POLYMARKET) for listing in _listings(venue, seed, now_s)
    ]
    return Catalogue(pairs, listings)


def _listings(venue: str, seed: int, now_s: int) -> Iterator[Listing]:
    rng = Random(f"{seed}/catalogue/{venue}")  # noqa: S311 - a simulation, no secret
    made = 0
    round_number = 0
    while True:
        round_number += 1
        for title, tag, outcomes in _EVENTS:
            for index, outcome in enumerate(outcomes or (None,)):
                if made == MARKETS_PER_VENUE:
                    return
                made += 1
                name = f"{title} {round_number}"
                yield _listing(venue, rng, (name, tag, outcome, index), now_s)


def _listing(
    venue: str, rng: Random, what: tuple[str, str, str | None, int], now_s: int
) -> Listing:
    title, tag, outcome, index = what
    event = "-".join(title.lower().split())
    slug = event if outcome is None else f"{event}-{'-'.join(outcome.lower().split())}"
    if venue == KALSHI:
        event = f"KX{''.join(title.upper().split())}"
        slug = event + ("-YES" if outcome is None else f"-{''.join(outcome.upper().split())}")
    total = round(rng.lognormvariate(11, 1.5), 2)
    tokens = (f"{slug}:YES", f"{slug}:NO") if venue == KALSHI else _tokens(slug)
    return Listing(
        venue=venue,
        slug=slug,
        question=f"{title}: {outcome}?" if outcome else f"{title}?",
        event_id=hashlib.sha256(f"{venue}/{event}".encode()).hexdigest()[:32],
        event_slug=event,
        tag=tag,
        yes_token_id=tokens[0],
        no_token_id=tokens[1],
        start_s=now_s - rng.randrange(1, 60) * DAY_S,
        end_s=now_s + rng.randrange(2, 300) * DAY_S,
        volume_24h=round(total * rng.uniform(0.01, 0.2), 2),
        volume_total=total,
        outcome_name=outcome,
        outcome_index=index,
        is_placeholder=outcome in _PLACEHOLDERS,
    )


def _tokens(slug: str) -> tuple[str, str]:
    """Token ids as long as real ones: 77 digits, the first never zero."""
    ids = [
        int.from_bytes(hashlib.sha256(f"{slug}/{side}".encode()).digest()) for side in ("yes", "no")
    ]
    low = 10**76
    return str(low + ids[0] % (9 * low)), str(low + ids[1] % (9 * low))
