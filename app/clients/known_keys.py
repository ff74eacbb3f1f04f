"""Keys that this process looked up a moment ago, so that most requests need not ask the database.

A revocation holds at once: it begins a new generation in Redis, whoever counts a request knows the
present one (app.api.rate), and what is known from another is looked up again. Where Redis is away,
or nobody counts, nothing is taken from here.
"""

import time
from dataclasses import dataclass

from app.clients.service import Principal

KEPT_S = 5.0
"""The longest that a key is known, should a revocation not get through to Redis."""

_MOST_KNOWN = 10_000


@dataclass(frozen=True)
class KnownKey:
    """Whose a key is, as of a generation."""

    principal: Principal
    generation: bytes
    until_s: float


class KnownKeys:
    """By the keyed hash of each key; the keys themselves are not kept."""

    def __init__(self) -> None:
        self._known: dict[str, KnownKey] = {}
        self._generation: bytes | None = None

    @property
    def generation(self) -> bytes | None:
        """The last that was seen: what is looked up now is no older. None before the first."""
        return self._generation

    def find(self, key_hash: str) -> KnownKey | None:
        """The key, which holds if its generation is still the present one."""
        known = self._known.get(key_hash)
        return known if known is not None and time.monotonic() < known.until_s else None

    def keep(self, key_hash: str, principal: Principal, generation: bytes | None) -> None:
        """Remember what was looked up, `generation` seen before that; one that ends soon is not."""
        if generation is None or principal.is_ending:
            return
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key_hash] = KnownKey(principal, generation, time.monotonic() + KEPT_S)

    def saw(self, generation: bytes) -> None:
        """This is the present generation."""
        self._generation = generation

    def forget(self) -> None:
        """Look all of them up again."""
        self._known.clear()
