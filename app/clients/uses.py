"""When a key was used last, to the minute."""

import logging
import time

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from app.clients.models import ApiKey
from app.database import Database, database_now

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_MOST_REMEMBERED = 10_000


class KeyUses:
    """Writes it down at most once a minute for each key and process: reading costs no write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted_at: dict[str, float] = {}

    def note(self, key_id: str) -> None:
        """A valid key was used; never raises, for nobody should fail of this."""
        now = time.monotonic()
        if now - self._noted_at.get(key_id, -_EVERY_S) < _EVERY_S:
            return
        if len(self._noted_at) >= _MOST_REMEMBERED:
            self._noted_at.clear()
        self._noted_at[key_id] = now
        try:
            with self._database.transaction() as session:
                session.execute(
                    update(ApiKey)
                    .where(ApiKey.key_id == key_id)
                    .values(last_used_at=database_now())
                )
        except SQLAlchemyError as error:
            log.warning("use_not_noted", extra={"error": type(error).__name__})
