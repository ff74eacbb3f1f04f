"""The web process's side: ask, and wait for the answer."""

import json
import uuid
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.errors import AppError
from market.calls.names import LEASE, REQUESTS, answer_key, request_key

_WAIT_S = 5.0
_MOST_WAITING = 5_000
_RETRY_AFTER_S = 1
# An empty answer: no market process is there. All in one step: who gives up must be sure.
_SEND = """
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[4]) then
    redis.call('RPUSH', KEYS[4], '')
    redis.call('PEXPIRE', KEYS[4], ARGV[3])
    return 0
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[2])
return 1
"""


class MarketUnavailableError(AppError):
    """Nobody took the request, and nobody will: it may be sent again."""

    status = 503
    code = "MARKET_UNAVAILABLE"


class UnansweredError(MarketUnavailableError):
    """The request was taken, or may have been, and no answer came."""


class MarketCalls:
    """Asks the market process; safe to be used by many greenlets or threads at once."""

    def __init__(self, redis_url: str, max_connections: int = 256, wait_s: float = _WAIT_S) -> None:
        # No retries: a request that was sent twice could be done twice.
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=max_connections,
            timeout=wait_s,
            socket_connect_timeout=1.0,
            socket_timeout=wait_s + 2.0,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )
        self.redis = Redis(connection_pool=pool)
        self._wait_s = wait_s

    def ask(
        self, operation: str, owner: str, arguments: dict[str, Any], name: str | None = None
    ) -> Any:
        """The market's answer, which may be an error that the caller has to read.

        `name` is that of a submission that may have been sent before. Raises
        MarketUnavailableError when nobody will do it, UnansweredError when that is not certain.
        """
        call = uuid.uuid4().hex
        text = json.dumps(
            {"operation": operation, "owner": owner, "arguments": arguments, "name": name}
        )
        try:
            answer = self._exchange(call, text)
            if answer is None and self.redis.delete(request_key(call)):
                raise MarketUnavailableError(
                    "the market process is too busy; try again", retry_after_s=_RETRY_AFTER_S
                )
        except RedisError as error:
            raise UnansweredError(
                "Redis does not answer; look at GET /v1/orders before sending anything again",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        if answer is None:
            raise UnansweredError(
                "the market process took the request and did not answer in time; sent again "
                "within a minute, it is answered and not done twice",
                retry_after_s=_RETRY_AFTER_S,
            )
        if not answer:
            raise MarketUnavailableError(
                "no market process runs, or it is too busy: start `python -m market.service` "
                "(the Procfile's `market`), or try again",
                retry_after_s=_RETRY_AFTER_S,
            )
        return json.loads(answer)

    def close(self) -> None:
        """Close every connection."""
        self.redis.connection_pool.disconnect()

    def _exchange(self, call: str, text: str) -> bytes | None:
        pipe = self.redis.pipeline(transaction=False)
        keys = (LEASE, REQUESTS, request_key(call), answer_key(call))
        # Longer than the wait: who gives up finds a text that nobody took, and takes it back.
        kept_ms = int(self._wait_s * 1000) + 1000
        pipe.eval(_SEND, 4, *keys, text, call, kept_ms, _MOST_WAITING)
        pipe.blpop([answer_key(call)], timeout=self._wait_s)
        _, popped = pipe.execute()
        return None if popped is None else popped[1]
