"""What the endpoints work with: made once by the composition root, found through the Flask app."""

from dataclasses import dataclass
from typing import cast

from flask import current_app
from redis import Redis

from app.api.rate import RateLimiter
from app.artifacts.uploads import Uploads
from app.broker import Announcer
from app.clients.attempts import FailedAttempts
from app.clients.key_watch import KeyWatch
from app.clients.known_keys import KnownKeys
from app.clients.service import KeyHasher
from app.clients.uses import KeyUses
from app.database import Database
from app.logs.feed import Feeds
from app.logs.source import LogSource
from app.runners.wake import Waker
from app.secrets.envelope import Sealer
from app.settings import Settings

EXTENSION = "sequence"


@dataclass(frozen=True)
class Services:
    """The outside world of one web process."""

    settings: Settings
    database: Database
    redis: Redis
    logs: LogSource
    feeds: Feeds
    announcer: Announcer
    waker: Waker
    sealer: Sealer
    hasher: KeyHasher
    uploads: Uploads
    rate: RateLimiter
    attempts: FailedAttempts
    key_uses: KeyUses
    known_keys: KnownKeys
    key_watch: KeyWatch


def services() -> Services:
    """The services of the app that answers the present request."""
    return cast(Services, current_app.extensions[EXTENSION])
