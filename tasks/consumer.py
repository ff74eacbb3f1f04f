"""Celery's consumer, less patient: after an outage of the broker it is back within seconds."""

from functools import partial
from typing import Any

from celery.worker import consumer

_FIRST_S = 0.5
_STEP_S = 0.5
_LONGEST_S = 2.0


class Consumer(consumer.Consumer):  # type: ignore[misc] # celery ships no types
    """Its own pause grows to 30 s, for which strategies would wait in a queue that works again."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, looking every two seconds at least."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=_FIRST_S,
            interval_step=_STEP_S,
            interval_max=_LONGEST_S,
        )
        return super().ensure_connected(conn)
