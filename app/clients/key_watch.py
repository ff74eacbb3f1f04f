"""Whether the keys of connections that stay open for hours still hold."""

import time

from app.clients.service import valid_keys
from app.database import Database

_LOOK_EVERY_S = 2.0
_MOST_REMEMBERED = 10_000


class KeyWatch:
    """Looks a key up every two seconds at the most, however many connections it has."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, bool]] = {}

    def holds(self, key_id: str) -> bool:
        """Whether the key was neither revoked nor ran out, two seconds ago or later.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        now_s = time.monotonic()
        looked_at_s, is_held = self._seen.get(key_id, (-_LOOK_EVERY_S, False))
        if now_s - looked_at_s < _LOOK_EVERY_S:
            return is_held
        with self._database.reading() as session:
            is_held = key_id in valid_keys(session, [key_id])
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key_id] = now_s, is_held
        return is_held
