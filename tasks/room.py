"""What of this runner is taken: a ledger of the strategies that it holds at the moment."""

import threading
from collections.abc import Sequence

from app.runners.capacity import UNLIMITED, Size


class Room:
    """The room of one runner process that serves `queues`; safe for use from any thread."""

    def __init__(self, limit: Size = UNLIMITED, queues: Sequence[str] = ()) -> None:
        self.limit = limit
        self.queues = queues
        self._taken: dict[str, Size] = {}
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to count."""
        return self.limit != UNLIMITED

    @property
    def used(self) -> Size:
        """What is taken."""
        with self._lock:
            return sum(self._taken.values(), Size())

    @property
    def free(self) -> Size:
        """What is left; never less than nothing, for nothing is taken that does not fit."""
        return self.limit - self.used

    def take(self, run_id: str, size: Size) -> bool:
        """Take this much for a run; False, and nothing taken, when it does not fit."""
        with self._lock:
            if not (sum(self._taken.values(), Size()) + size).fits(self.limit):
                return False
            self._taken[run_id] = size
            return True

    def release(self, run_id: str) -> None:
        """The run needs nothing any more; again is as good as once."""
        with self._lock:
            self._taken.pop(run_id, None)
