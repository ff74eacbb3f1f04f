"""What the rows and the broker say of the whole platform, looked up when somebody asks."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from kombu.exceptions import OperationalError as BrokerError
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.api.context import Services
from app.database import database_now
from app.runners import repository as runners
from app.strategies.models import Strategy
from app.strategies.states import Status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Target:
    """One latency target: strategies by status, and for how long the oldest waits."""

    running: int
    queued: int
    oldest_s: float


class PlatformState:
    """A collector of prometheus_client; what is away is left out, and `sequence_up` says so."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Gauges by latency target, of those that are configured."""
        up = GaugeMetricFamily("sequence_up", "Whether this part answers.", labels=("part",))
        try:
            yield from self._rows()
            up.add_metric(["database"], 1)
        except SQLAlchemyError as error:
            log.warning("metrics_incomplete", extra={"error": type(error).__name__})
            up.add_metric(["database"], 0)
        try:
            yield self._messages()
            up.add_metric(["broker"], 1)
        except (BrokerError, OSError) as error:
            log.warning("metrics_incomplete", extra={"error": type(error).__name__})
            up.add_metric(["broker"], 0)
        yield up

    def _messages(self) -> Metric:
        depth = GaugeMetricFamily(
            "sequence_queue_messages", "Messages that no runner took yet.", labels=("target",)
        )
        for target in self._services.settings.latency_targets:
            depth.add_metric([target], self._services.announcer.backlog(target))
        return depth

    def _rows(self) -> Iterator[Metric]:
        targets, runners_by_target = self._look()
        columns = {
            "sequence_strategies_running": ("Strategies that run.", "running"),
            "sequence_strategies_queued": ("Strategies that wait for a runner.", "queued"),
            "sequence_queue_oldest_seconds": ("How long the oldest of those waits.", "oldest_s"),
        }
        for name, (text, attribute) in columns.items():
            family = GaugeMetricFamily(name, text, labels=("target",))
            for target, found in targets.items():
                family.add_metric([target], getattr(found, attribute))
            yield family
        live = GaugeMetricFamily("sequence_runners_live", "Live runners.", labels=("target",))
        for target, count in runners_by_target.items():
            live.add_metric([target], count)
        yield live

    def _look(self) -> tuple[dict[str, _Target], dict[str, int]]:
        known = self._services.settings.latency_targets
        query = (
            select(
                Strategy.latency_target,
                Strategy.status,
                func.count(),
                database_now() - func.min(Strategy.queued_at),
            )
            .where(Strategy.status.in_((Status.RUNNING, Status.QUEUED)))
            .group_by(Strategy.latency_target, Strategy.status)
        )
        with self._services.database.reading() as session:
            found = {(row[0], row[1]): (row[2], row[3]) for row in session.execute(query)}
            live = runners.live(session)
        return {
            target: _Target(
                running=found.get((target, Status.RUNNING), (0, 0.0))[0],
                queued=found.get((target, Status.QUEUED), (0, 0.0))[0],
                oldest_s=max(0.0, found.get((target, Status.QUEUED), (0, 0.0))[1] or 0.0),
            )
            for target in known
        }, {target: sum(target in runner.queues for runner in live) for target in known}
