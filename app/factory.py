"""The web process is put together here."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.account.routes import blueprint as account
from app.api import body_limits, envelope, rate, request_id
from app.api.context import EXTENSION, Services
from app.api.rate import RateLimiter
from app.api.security_headers import SecurityHeaders
from app.api_keys.routes import blueprint as api_keys
from app.artifacts.uploads import Uploads
from app.broker import Announcer
from app.clients.attempts import FailedAttempts
from app.clients.key_watch import KeyWatch
from app.clients.known_keys import KnownKeys
from app.clients.revocations import Revocations
from app.clients.service import KeyHasher
from app.clients.uses import KeyUses
from app.credentials.routes import blueprint as credentials
from app.database import Database
from app.deployments.routes import blueprint as deployments
from app.health.routes import blueprint as health
from app.history.routes import blueprint as history
from app.logs.chunks import ChunkStore
from app.logs.feed import Feeds
from app.logs.routes import blueprint as logs
from app.logs.source import LogSource
from app.metrics.requests import RequestCounts
from app.metrics.routes import COUNTS
from app.metrics.routes import blueprint as metrics
from app.observability import configure_logging
from app.openapi.routes import blueprint as openapi
from app.parts import PARTS, Part
from app.redis_client import connect
from app.runners.routes import blueprint as runners
from app.runners.wake import Waker
from app.secrets.envelope import Sealer
from app.settings import Settings
from app.strategies.routes import blueprint as strategies
from app.version import PLATFORM_VERSION

_RATE_TIMEOUT_S = 0.5
_TAKE_ARTIFACTS = frozenset({"strategies.create_strategy"})


class Application(Flask):
    """Flask whose views and hooks are plain functions: it need not look whether they are."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The same function."""
        return func


def create_app(settings: Settings, parts: Sequence[Part] = ()) -> Flask:
    """The Flask application for these settings, with what `parts` add; connects to nothing yet."""
    configure_logging(settings.log_level, settings.log_format)
    app = Application("app")
    app.config.update(
        API_TITLE="Hosted strategies",
        API_VERSION=PLATFORM_VERSION,
        OPENAPI_VERSION="3.1.0",
    )
    app.extensions[EXTENSION] = _services(settings)
    request_id.init_app(app)
    rate.init_app(app)
    counts = app.extensions[COUNTS] = RequestCounts()
    counts.init_app(app)
    envelope.init_app(app)
    body_limits.init_app(app, settings.artifact_max_bytes, _TAKE_ARTIFACTS)
    wrapped: Any = SecurityHeaders(app.wsgi_app)
    if settings.proxy_hops:
        wrapped = ProxyFix(wrapped, x_for=settings.proxy_hops)
    app.wsgi_app = wrapped  # type: ignore[method-assign] # Flask's own way to wrap
    api = envelope.EnvelopeApi(app)
    ours = (strategies, deployments, history, logs, runners, api_keys, credentials, account, health)
    for blueprint in ours:
        api.register_blueprint(blueprint)
    app.extensions[PARTS] = tuple(parts)
    for part in parts:
        part.attach(app, settings)
        for blueprint in part.blueprints:
            api.register_blueprint(blueprint)
    app.register_blueprint(openapi)
    app.register_blueprint(metrics)
    return app


def _services(settings: Settings) -> Services:
    redis = connect(settings.redis_url)
    database = Database(settings.database_url)
    source = LogSource(database, redis, ChunkStore(settings.log_archive_url))
    # One connection for each strategy that is followed; others must not wait for those.
    follow_redis = connect(settings.redis_url, max_connections=settings.web_connections)
    return Services(
        settings=settings,
        database=database,
        redis=redis,
        logs=source,
        feeds=Feeds(database, follow_redis, source),
        announcer=Announcer(settings),
        waker=Waker(redis),
        sealer=Sealer(settings.credential_public_key),
        hasher=KeyHasher(settings.api_key_hash_key),
        uploads=Uploads(),
        rate=RateLimiter(
            connect(settings.redis_url, read_timeout_s=_RATE_TIMEOUT_S),
            Revocations(connect(settings.redis_url, read_timeout_s=_RATE_TIMEOUT_S, retries=0)),
            settings.rate_limit_qps,
        ),
        attempts=FailedAttempts(redis, settings.auth_failures_per_minute),
        key_uses=KeyUses(database),
        known_keys=KnownKeys(),
        key_watch=KeyWatch(database),
    )
