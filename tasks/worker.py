"""Entry point of the `runner` process: `celery -A tasks.worker worker`."""

import logging
import os
import socket
import sys
import threading
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from app.broker import RUN_TASK
from app.log_context import REQUEST_ID_HEADER, bound, usable_id
from app.secrets.keys import CredentialKeyError
from app.settings import Role, Settings, SettingsError, load
from sandbox import SandboxError
from tasks.assembly import Assembly, assemble, take_apart
from tasks.celery_app import create_celery
from tasks.metrics_server import MetricsPortError
from tasks.pulse import PULSE_TASK, Ears, Patience, PulseSender, PulseWatch, pulse_queue

log = logging.getLogger(__name__)


def _load() -> Settings:
    try:
        return load(Role.RUNNER, os.environ)
    except SettingsError as error:
        sys.exit(str(error))


class RunnerStep(bootsteps.StartStopStep):  # type: ignore[misc] # celery ships no types
    """The runner's life within the worker's: ready before the first message, gone after the last.

    Eviction begins in `close`, for a remote shutdown fires no signal; the signal comes earlier.
    """

    requires = {"celery.worker.components:Pool"}  # noqa: RUF012 - celery's way to say it
    assembly: Assembly | None = None
    watch: PulseWatch | None = None
    taking_apart = threading.Lock()

    def start(self, parent: Any) -> None:
        """Assemble the runner, or end the process with the remedy."""
        del parent
        try:
            RunnerStep.assembly = assemble(settings)
        except (SandboxError, SQLAlchemyError, CredentialKeyError, MetricsPortError) as error:
            sys.stderr.write(f"error: the runner cannot start: {error}\n")
            sys.stderr.flush()
            # Nothing is running yet that an orderly shutdown of Celery would save.
            os._exit(1)
        if settings.runner_deaf_s:
            RunnerStep.watch = _listen(settings)

    def close(self, parent: Any) -> None:
        """Evict."""
        del parent
        shut_down()

    def stop(self, parent: Any) -> None:
        """Wait for what was evicted, then take the runner apart."""
        del parent
        shut_down()
        if RunnerStep.watch is not None:
            RunnerStep.watch.close()
        end_runner()

    terminate = stop


def shut_down(**_: Any) -> None:
    """Begin to evict; called from a signal handler as well."""
    if RunnerStep.watch is not None:
        RunnerStep.watch.is_stopping = True
    if RunnerStep.assembly is not None:
        RunnerStep.assembly.runner.shut_down()


def end_runner() -> None:
    """Wait for what was evicted and take the runner apart, once, whoever is first."""
    with RunnerStep.taking_apart:
        if RunnerStep.assembly is not None:
            take_apart(RunnerStep.assembly)
            RunnerStep.assembly = None


def _listen(settings: Settings) -> PulseWatch:
    queue = pulse_queue(socket.gethostname(), settings.runner_name)
    app.amqp.queues.select_add(queue)
    sender = PulseSender(settings, queue)
    watch = PulseWatch(Patience(settings.runner_deaf_s), sender, ears, _is_full, _end_deaf)
    watch.start()
    return watch


def _is_full() -> bool:
    """Whether the consumer takes nothing because every thread has a strategy."""
    return len(state.reserved_requests) >= settings.runner_max_strategies


def _end_deaf() -> None:
    """End with status 1; not by Celery, whose main thread may be what hangs.

    Strategies are evicted first, like in every shutdown, so that another runner has them at once.
    """
    log.error("consumer_stuck", extra={"silent_s": settings.runner_deaf_s, "pid": os.getpid()})
    try:
        shut_down()
        end_runner()
        if RunnerStep.watch is not None:
            RunnerStep.watch.close()
    except Exception:
        # Ended all the same: the guard kills what runs, and the next runner takes it over.
        log.exception("not_taken_apart")
    finally:
        os._exit(1)


settings = _load()
ears = Ears()
app = create_celery(settings)
app.steps["worker"].add(RunnerStep)
worker_shutting_down.connect(shut_down, weak=False)


@app.task(name=RUN_TASK, bind=True)  # type: ignore[untyped-decorator]
def run_strategy(self: Any, strategy_id: str) -> None:
    """Look at this strategy's row, and run it if it waits."""
    assembly = RunnerStep.assembly
    if assembly is not None:
        found = (self.request.headers or {}).get(REQUEST_ID_HEADER)
        with bound(request_id=usable_id(found)):
            assembly.runner.run(strategy_id, self.request.delivery_info["routing_key"])


@app.task(name=PULSE_TASK, Strategy=ears.strategy)  # type: ignore[untyped-decorator]
def pulse() -> None:
    """Never called: the consumer itself hears it."""
