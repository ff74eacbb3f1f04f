"""How many large bodies of one client a web process holds at once."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import UnavailableError

MOST_AT_ONCE = 8
_RETRY_AFTER_S = 2


class Uploads:
    """Counts them. A body lies in memory from its first byte until its request is answered, however
    slowly it comes: without a bound a few hundred connections were gigabytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one(self, client_id: str) -> Iterator[None]:
        """Raises UnavailableError for a client who has `MOST_AT_ONCE` under way."""
        with self._lock:
            if self._under_way[client_id] >= MOST_AT_ONCE:
                raise UnavailableError(
                    f"{MOST_AT_ONCE} large uploads of yours are under way; wait for one to end",
                    retry_after_s=_RETRY_AFTER_S,
                )
            self._under_way[client_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= Counter({client_id: 1})  # keeps no zeros
