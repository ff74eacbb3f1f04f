"""What a running strategy uses at the moment: a sample that its runner leaves in Redis."""

import json
import logging
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

KEPT_S = 15
"""Seconds after which a sample is too old to be shown."""


def usage_key(run_id: str) -> str:
    """Redis key of a run's newest sample."""
    return f"usage:{run_id}"


def live_usage(redis: Redis, run_id: str) -> dict[str, Any] | None:
    """The newest sample of a run, or None when there is none; never raises."""
    try:
        sample: Any = redis.get(usage_key(run_id))
    except RedisError as error:
        log.info("usage_not_read", extra={"error": type(error).__name__})
        return None
    return None if sample is None else dict(json.loads(sample))
