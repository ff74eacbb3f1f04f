"""What the producer in the web tier and the Celery workers have to agree on.

A message says "look at this row" and carries the strategy's id, and in its headers the id of the
request that it is about, for the logs. Publishing is not
part of a request's success: the row is committed first, and the sweep announces again what no
runner has seen.
"""

import logging
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from app import log_context
from app.settings import Settings

RUN_TASK = "tasks.run_strategy"

log = logging.getLogger(__name__)

_PUBLISH_RETRY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
}


def base_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration as far as producers and workers share it."""
    queues = [Queue(name, routing_key=name) for name in settings.latency_targets]
    return {
        "broker_url": settings.broker,
        "task_queues": queues,
        "task_default_queue": "default",
        # A misspelled queue must be an error, not a list that silently fills.
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # Without it Flower shows an empty routing key.
        "task_send_sent_event": True,
    }


class Announcer:
    """Tells the runners of a queue that a strategy waits there; never raises, never hangs long."""

    def __init__(self, settings: Settings) -> None:
        self._celery = Celery("sequence", set_as_current=False)
        self._celery.conf.update(
            base_config(settings),
            broker_pool_limit=50,
            broker_transport_options={
                **_PUBLISH_RETRY,
                "socket_connect_timeout": 1,
                "socket_timeout": 1,
                "retry_on_timeout": False,
            },
        )

    def announce(self, strategy_id: str, queue: str, request_id: str | None = None) -> bool:
        """Publish; False when the broker is away, which the sweep makes good.

        Without a `request_id` the message carries that of the request that is being answered.
        """
        request_id = request_id or log_context.request_id()
        try:
            self._celery.send_task(
                RUN_TASK,
                args=[strategy_id],
                queue=queue,
                retry=True,
                retry_policy=_PUBLISH_RETRY,
                headers={log_context.REQUEST_ID_HEADER: request_id} if request_id else {},
            )
        except (OperationalError, OSError) as error:
            log.warning("announce_failed", extra={"strategy_id": strategy_id, "error": str(error)})
            return False
        return True

    def backlog(self, queue: str) -> int:
        """Messages that wait in a queue.

        Raises:
            kombu.exceptions.OperationalError: the broker is away.
        """
        with self._celery.connection_for_write() as connection:
            channel = connection.default_channel
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                return 0  # nobody has declared it yet: nothing can wait in it

    def close(self) -> None:
        """Close the connections to the broker."""
        self._celery.close()
