"""A runner listens to its own pulse: does what is sent to its consumer still arrive?

A consumer may stop taking messages without an error and without an end, for instance after Redis
was started again: its strategies run on, its heartbeats say that it lives, and whatever is queued
for it waits for ever. So a runner sends itself a message through a queue of its own, which the same
consumer reads on the same connection as those of the strategies. One that hears nothing although it
has room and the broker answers ends itself, for its supervisor to start another.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from app.broker import base_config
from app.settings import Settings

log = logging.getLogger(__name__)

PULSE_TASK = "tasks.pulse"

_LOOKS = 12
"""So often it looks before it is sure: a process that stood still has not looked meanwhile."""


def pulse_queue(host: str, name: str) -> Queue:
    """The private queue of the runner `name` on this host; its successor has the same."""
    queue = f"pulse.{host}.{name}"
    return Queue(queue, routing_key=queue, durable=False, auto_delete=True)


class Ears:
    """What the consumer calls for a pulse, instead of running a task: no slot, no event, no log."""

    def __init__(self) -> None:
        self._has_heard = False

    def has_heard(self) -> bool:
        """Whether a pulse came since the last question."""
        heard, self._has_heard = self._has_heard, False
        return heard

    def strategy(self, task: Any, app: Any, consumer: Any) -> Callable[..., None]:
        """Celery's way to say what is done with a message of a task; here in the consumer itself.

        `task_message_handler(message, body, ack, reject, callbacks)` is its contract.
        """
        del task, app

        def note(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
            del message, body, reject, callbacks
            self._has_heard = True
            ack(log, consumer.connection_errors)

        return note


class PulseSender:
    """Keeps one pulse in the queue; a connection for each look, as a broker may have gone."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._queue = queue
        self._celery = Celery("sequence-pulse", set_as_current=False)
        self._celery.conf.update(
            base_config(settings),
            # Flower is for strategies.
            task_send_sent_event=False,
            broker_transport_options={
                "max_retries": 0,
                "socket_connect_timeout": 1,
                "socket_timeout": 1,
                "retry_on_timeout": False,
            },
        )

    def send(self) -> bool:
        """Send a pulse unless one waits there still; False when the broker does not answer."""
        with self._celery.connection_for_write() as connection:
            try:
                if not self._waiting(connection):
                    self._celery.send_task(
                        PULSE_TASK, queue=self._queue, connection=connection, retry=False
                    )
            except _errors(connection):
                return False
        return True

    def close(self) -> None:
        """Leave nothing in the broker."""
        with self._celery.connection_for_write() as connection, suppress(*_errors(connection)):
            queue = self._queue.bind(connection.default_channel)
            # Only what this process has declared on this transport can be deleted.
            queue.declare()
            queue.delete()
        self._celery.close()

    def _waiting(self, connection: Any) -> int:
        channel = connection.default_channel
        try:
            return int(channel.queue_declare(self._queue.name, passive=True).message_count)
        except connection.channel_errors:
            return 0  # the consumer has not declared it yet


def _errors(connection: Any) -> tuple[type[Exception], ...]:
    """Everything that a broker which is away may raise."""
    kinds = (*connection.connection_errors, *connection.channel_errors)
    return (OperationalError, OSError, *kinds)


@dataclass
class Patience:
    """For how long nothing was heard that should have been; seconds.

    Attributes:
        limit_s: more than this is too long.
    """

    limit_s: float
    unheard_s: float = 0.0

    @property
    def look_every_s(self) -> float:
        """A look counts for this long and no longer, however late it comes."""
        return self.limit_s / _LOOKS

    def look(self, *, has_heard: bool, is_excused: bool) -> bool:
        """Whether it is too long by now; `is_excused` when nothing could be heard."""
        if has_heard or is_excused:
            self.unheard_s = 0.0
        else:
            self.unheard_s += self.look_every_s
        return self.unheard_s > self.limit_s


class PulseWatch(threading.Thread):
    """Sends and listens until `close()`, or until it was silent for too long."""

    def __init__(
        self,
        patience: Patience,
        sender: PulseSender,
        ears: Ears,
        is_full: Callable[[], bool],
        on_silence: Callable[[], None],
    ) -> None:
        """`is_full` when the consumer takes nothing for want of room; `on_silence` may end us."""
        super().__init__(name="pulse", daemon=True)
        self._patience = patience
        self._sender = sender
        self._ears = ears
        self._is_full = is_full
        self._on_silence = on_silence
        self._closing = threading.Event()
        self.is_stopping = False
        """Set when the runner shuts down: then nothing is consumed any more, as it should be."""

    def run(self) -> None:
        """Look until closed."""
        while not self._closing.wait(self._patience.look_every_s):
            if self._is_silent() and not self.is_stopping:
                self._on_silence()
                return

    def close(self) -> None:
        """End the thread; called from it as well."""
        self._closing.set()
        if threading.current_thread() is not self:
            self.join(timeout=10)
        self._sender.close()

    def _is_silent(self) -> bool:
        # Full before or after: what waits in between may have had no chance.
        was_full = self._is_full()
        is_answered = not was_full and self._sender.send()
        is_excused = self.is_stopping or not is_answered or self._is_full()
        return self._patience.look(has_heard=self._ears.has_heard(), is_excused=is_excused)
