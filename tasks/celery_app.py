"""Celery for tasks that live for weeks: settings that were measured, each with its reason."""

from celery import Celery
from celery.signals import setup_logging

from app.broker import base_config
from app.observability import configure_logging
from app.settings import Settings


def create_celery(settings: Settings) -> Celery:
    """The Celery application of runners and of Flower."""
    celery = Celery("sequence")
    celery.conf.update(base_config(settings))
    own = [queue for queue in celery.conf.task_queues if queue.name in settings.queues]
    celery.conf.update(
        task_queues=own,
        # A strategy is a child process; a thread that waits for it costs 50 KB, a process 26 MB.
        worker_pool="threads",
        worker_concurrency=settings.runner_max_strategies,
        # The broker must never redeliver a task that runs for weeks: rows bring back what is lost.
        task_acks_late=False,
        # A full runner must not hold a message while a free one stands by.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        broker_connection_retry_on_startup=True,
        worker_consumer="tasks.consumer:Consumer",
        # Strategies run on without a broker; to give up would end them all.
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 300,
            # Without these a half-open connection consumed nothing for 100 s.
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )

    @setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def _configure(**_: object) -> None:
        configure_logging(settings.log_level, settings.log_format)

    return celery
