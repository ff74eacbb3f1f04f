"""Made-up prices, reproducible: the same seed, catalogue and times give the same books."""

import heapq
from collections.abc import Sequence
from random import Random

from market.catalogue import SPOT_PAIRS, Catalogue
from market.engine import BookKey, Side, VenueBooks, rules_for
from market.fixed_point import price_1e9
from market.sources.arbitrage import Arbitrage
from market.sources.crowd import Crowd, Fair, Habits
from market.sources.protocol import Print

SPOT_EVENTS_PER_S = 20.0
PREDICTION_EVENTS_PER_S = 1.0
# Of the prediction markets so many in a hundred are all but decided: nobody bids on one side.
ONE_SIDED_PERCENT = 12
SPOT_DOLLARS_AN_ORDER = 4_000
PREDICTION_SIZE_1E8 = 400 * 100_000_000
BOTH = (Side.BUY, Side.SELL)


class SimulatedSource:
    """A crowd for each book of a catalogue; starts at `start_ns` with books already filled."""

    def __init__(self, catalogue: Catalogue, seed: int, start_ns: int) -> None:
        self._seed = seed
        fairs = {pair: self._spot_fair(pair) for pair in SPOT_PAIRS}
        self._crowds = [
            *(self._spot(key, fairs[key.market]) for key in catalogue.pairs),
            *(self._prediction(listing.key) for listing in catalogue.listings),
        ]
        self._venues: dict[str, list[BookKey]] = {}
        for key in catalogue.pairs:
            self._venues.setdefault(key.market, []).append(key)
        self._arbitrage = Arbitrage()
        self._is_open = False
        self._due = [(start_ns + one.wait_ns(), at) for at, one in enumerate(self._crowds)]
        heapq.heapify(self._due)

    def keys(self) -> Sequence[BookKey]:
        """The books that this source fills."""
        return [crowd.key for crowd in self._crowds]

    def advance(self, books: VenueBooks, until_ns: int) -> list[Print]:
        """Everything that the crowds do up to a time, in its order."""
        if not self._is_open:
            self._is_open = True
            for crowd in self._crowds:
                crowd.open(books.open(crowd.key))
        prints: list[Print] = []
        while self._due[0][0] <= until_ns:
            ts_ns, at = self._due[0]
            crowd = self._crowds[at]
            prints += (Print(ts_ns, crowd.key, trade) for trade in crowd.act(books[crowd.key]))
            if crowd.key.market in self._venues:
                prints += self._arbitrage.level(books, self._venues[crowd.key.market], ts_ns)
            heapq.heapreplace(self._due, (ts_ns + crowd.wait_ns(), at))
        return prints

    def _rng(self, *names: str) -> Random:
        return Random("/".join((str(self._seed), *names)))  # noqa: S311 - a simulation

    def _spot_fair(self, pair: str) -> Fair:
        """One walk for all exchanges, else their prices would drift apart."""
        start = float(price_1e9(SPOT_PAIRS[pair]))
        return Fair(start, start, start * 0.000_01, self._rng("fair", pair))

    def _spot(self, key: BookKey, fair: Fair) -> Crowd:
        tick = rules_for(*key).tick_1e9
        spacing = max(int(fair.anchor_1e9 * 0.000_05 / tick), 1)
        size_1e8 = int(SPOT_DOLLARS_AN_ORDER * 1e17 / fair.anchor_1e9)
        return Crowd(key, fair, Habits(SPOT_EVENTS_PER_S, BOTH, size_1e8, spacing), self._rng(*key))

    def _prediction(self, key: BookKey) -> Crowd:
        rng, rules = self._rng(*key), rules_for(*key)
        sides: tuple[Side, ...] = BOTH
        # Half a tick more than a whole one: the crowd believes in a price between two ticks.
        start = rng.randrange(12, 80) * 10_000_000 + rules.tick_1e9 / 2
        if rng.randrange(100) < ONE_SIDED_PERCENT:
            sides = (rng.choice(BOTH),)
            low, high = rules.tick_1e9 / 2, rules.max_price_1e9 + rules.tick_1e9 / 2
            start = low if sides == (Side.SELL,) else high
        step = 0.0 if len(sides) == 1 else rules.tick_1e9 * 0.2
        habits = Habits(PREDICTION_EVENTS_PER_S, sides, PREDICTION_SIZE_1E8, 1)
        return Crowd(key, Fair(start, start, step, rng), habits, rng)
