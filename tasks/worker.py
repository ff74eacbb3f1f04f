"""Entry point of the `runner` process: `celery -A tasks.worker worker`."""

import os
import sys
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down
from sqlalchemy.exc import SQLAlchemyError

from app.broker import RUN_TASK
from app.settings import Role, Settings, SettingsError, load
from sandbox import SandboxError
from tasks.assembly import Assembly, assemble, take_apart
from tasks.celery_app import create_celery


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

    def start(self, parent: Any) -> None:
        """Assemble the runner, or end the process with the remedy."""
        del parent
        try:
            RunnerStep.assembly = assemble(settings)
        except (SandboxError, SQLAlchemyError) as error:
            sys.stderr.write(f"error: the runner cannot start: {error}\n")
            sys.stderr.flush()
            # Nothing is running yet that an orderly shutdown of Celery would save.
            os._exit(1)

    def close(self, parent: Any) -> None:
        """Evict."""
        del parent
        shut_down()

    def stop(self, parent: Any) -> None:
        """Wait for what was evicted, then take the runner apart."""
        del parent
        if RunnerStep.assembly is not None:
            shut_down()
            take_apart(RunnerStep.assembly)
            RunnerStep.assembly = None

    terminate = stop


def shut_down(**_: Any) -> None:
    """Begin to evict; called from a signal handler as well."""
    if RunnerStep.assembly is not None:
        RunnerStep.assembly.runner.shut_down()


settings = _load()
app = create_celery(settings)
app.steps["worker"].add(RunnerStep)
worker_shutting_down.connect(shut_down, weak=False)


@app.task(name=RUN_TASK, bind=True)  # type: ignore[untyped-decorator]
def run_strategy(self: Any, strategy_id: str) -> None:
    """Look at this strategy's row, and run it if it waits."""
    assembly = RunnerStep.assembly
    if assembly is not None:
        assembly.runner.run(strategy_id, self.request.delivery_info["routing_key"])
