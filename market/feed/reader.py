"""The web process's side: books and catalogue as they are now, in one round trip."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from market.catalogue import Catalogue
from market.engine import BookKey
from market.errors import MarketError
from market.feed import names
from market.feed.codec import Snapshot, decode_book, decode_catalogue, decode_trades
from market.quotes import Tick

_DECODED_MAX = 5_000
_ATTEMPTS = 3

KeysOf = Callable[[Catalogue], Iterable[BookKey]]


class MarketAwayError(MarketError):
    """No market process lives, so what Redis holds is of the past."""

    def __init__(self) -> None:
        super().__init__(
            "no market process answers, so there are no prices; the operator starts one with "
            "`python -m market.service`"
        )


@dataclass(frozen=True)
class View:
    """What is listed, and the books that were asked for; one that is not there is left out."""

    catalogue: Catalogue
    books: Mapping[BookKey, Snapshot]


class MarketReader:
    """Reads what `BookPublisher` writes. Any number of threads may share one.

    Catalogue and images are decoded once for as long as they stay the same.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._catalogue: tuple[str, Catalogue] | None = None
        self._decoded: dict[BookKey, tuple[bytes, Snapshot]] = {}

    def look(self, keys_of: KeysOf = lambda _: ()) -> View:
        """The catalogue, and the books that `keys_of` names for it.

        Raises MarketAwayError, redis.exceptions.RedisError, and whatever `keys_of` raises for
        the present catalogue.
        """
        for _ in range(_ATTEMPTS):
            known_id, catalogue = self._catalogue or self._load()
            try:
                keys = list(keys_of(catalogue))
            except MarketError:
                # It may be listed by now.
                if self._load()[0] == known_id:
                    raise
                continue
            wanted = [names.HEARTBEAT, names.CATALOGUE_ID, *map(names.book_key, keys)]
            beat, present_id, *found = self._mget(wanted)
            if beat is None:
                raise MarketAwayError
            if present_id is not None and present_id.decode() == known_id:
                return View(catalogue, self._decode(keys, found))
            self._load()
        raise MarketAwayError

    def snapshots(self, keys: Iterable[BookKey]) -> Mapping[BookKey, Snapshot]:
        """The latest images, whether or not a market process lives; some may be missing."""
        keys = list(keys)
        return self._decode(keys, self._mget(list(map(names.book_key, keys))))

    def is_alive(self) -> bool:
        """Whether a market process lives."""
        return bool(self._redis.exists(names.HEARTBEAT))

    def trades(self, keys: Iterable[BookKey]) -> list[Tick]:
        """The kept trades of some books together, oldest first."""
        keys = list(keys)
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.lrange(names.tape_key(key), 0, -1)
        rows = zip(keys, pipe.execute(), strict=True)
        ticks = [tick for key, found in rows for tick in decode_trades(key.venue, found)]
        return sorted(ticks, key=lambda tick: tick.ts_ns)

    def _load(self) -> tuple[str, Catalogue]:
        wanted = [names.HEARTBEAT, names.CATALOGUE_ID, names.CATALOGUE]
        beat, catalogue_id, data = self._mget(wanted)
        if beat is None or catalogue_id is None or data is None:
            raise MarketAwayError
        name = catalogue_id.decode()
        if self._catalogue is None or self._catalogue[0] != name:
            self._catalogue = (name, decode_catalogue(data))
        return self._catalogue

    def _decode(self, keys: list[BookKey], found: list[bytes | None]) -> dict[BookKey, Snapshot]:
        books = {}
        for key, data in zip(keys, found, strict=True):
            if data is None:
                continue
            known = self._decoded.get(key)
            if known is None or known[0] != data:
                if len(self._decoded) >= _DECODED_MAX:
                    self._decoded.clear()
                known = self._decoded[key] = (data, decode_book(data))
            books[key] = known[1]
        return books

    def _mget(self, wanted: list[str]) -> list[Any]:
        return cast(list[Any], self._redis.mget(wanted))
