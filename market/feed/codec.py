"""What travels through Redis, as JSON: images of books, the catalogue, trades."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from market.catalogue import Catalogue, Listing
from market.engine import BookKey
from market.quotes import BookImage, Tick
from market.sources import Print
from market.symbols import Outcome

_FIELDS = tuple(field.name for field in dataclasses.fields(Listing))


class Snapshot(NamedTuple):
    """A book as it was published: by which market process, its revision, and when it changed."""

    session: str
    version: int
    changed_ns: int
    image: BookImage


def encode_book(snapshot: Snapshot) -> bytes:
    """One snapshot as bytes."""
    image = snapshot.image
    return _json([*snapshot[:3], image.bids, image.asks])


def decode_book(data: bytes) -> Snapshot:
    """The snapshot that `encode_book` made these bytes of."""
    session, version, changed_ns, bids, asks = json.loads(data)
    return Snapshot(session, version, changed_ns, BookImage(_levels(bids), _levels(asks)))


def encode_catalogue(catalogue: Catalogue) -> tuple[str, bytes]:
    """The id of a catalogue, which is a hash of its content, and the content."""
    rows = [[getattr(one, name) for name in _FIELDS] for one in catalogue.listings]
    data = _json({"pairs": catalogue.pairs, "fields": _FIELDS, "listings": rows})
    return hashlib.sha256(data).hexdigest()[:16], data


def decode_catalogue(data: bytes) -> Catalogue:
    """The catalogue that `encode_catalogue` made these bytes of."""
    found = json.loads(data)
    pairs = [BookKey(venue, market) for venue, market in found["pairs"]]
    rows = (dict(zip(found["fields"], row, strict=True)) for row in found["listings"])
    return Catalogue(pairs, [_listing(row) for row in rows])


def encode_trade(one: Print) -> bytes:
    """One trade of the tape."""
    trade = one.trade
    return _json([one.ts_ns, trade.price_1e9, trade.qty_1e8, trade.taker.side.value])


def decode_trades(venue: str, rows: Iterable[bytes]) -> list[Tick]:
    """The trades of one book, in the order of the rows."""
    found = json.loads(b"[" + b",".join(rows) + b"]")
    return [Tick(ts_ns, venue, price, qty, side) for ts_ns, price, qty, side in found]


def _listing(row: dict[str, Any]) -> Listing:
    resolved = row.pop("resolved")
    return Listing(**row, resolved=None if resolved is None else Outcome(resolved))


def _levels(rows: list[list[int]]) -> list[tuple[int, int]]:
    return [(price, qty) for price, qty in rows]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
