"""Connections to Redis, with every time-out and retry said explicitly."""

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(
    url: str, *, max_connections: int = 32, read_timeout_s: float = 5.0, retries: int = 1
) -> Redis:
    """A client whose pool makes callers wait for a connection instead of failing at once.

    A broken connection is replaced `retries` times within a call; an absent Redis raises
    `redis.exceptions.ConnectionError`, a frozen one `TimeoutError` after `read_timeout_s`.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=20,
        socket_connect_timeout=1.0,
        socket_timeout=read_timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), retries),
        decode_responses=False,
    )
    return Redis(connection_pool=pool)
