"""What a runner counts for Prometheus; `tasks.metrics_server` shows it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tasks.claims import Verdict
from tasks.ending import Cause, Ending

REGISTRY = CollectorRegistry()

RUNNING = Gauge("sequence_runner_running", "Strategies that run on this runner.", registry=REGISTRY)
STARTS = Histogram(
    "sequence_start_seconds",
    "From the announcement of a start to the program's first instruction.",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0),
    registry=REGISTRY,
)
ENDS = Counter(
    "sequence_runs_ended", "Runs that ended, by `status_reason`.", ("reason",), registry=REGISTRY
)
RESTARTS = Counter(
    "sequence_restarts",
    "Runs that ended so and are followed by another by themselves.",
    ("reason",),
    registry=REGISTRY,
)
LEASE_MISSES = Counter(
    "sequence_lease_misses",
    "`renewal`: a heartbeat that failed; `lost`: a run that was given up for its lease.",
    ("kind",),
    registry=REGISTRY,
)
DROPPED_LINES = Counter(
    "sequence_log_lines_dropped",
    "Lines of strategies that were not stored: over the `rate`, a full `buffer`, or too `late`.",
    ("why",),
    registry=REGISTRY,
)
SANDBOX_REFUSALS = Counter(
    "sequence_sandbox_refusals",
    "Starts that came to nothing, by cause: sandbox, network, artifact, secrets, fence.",
    ("cause",),
    registry=REGISTRY,
)
NETWORK_REFUSALS = Counter(
    "sequence_network_refusals",
    "Packets of strategies that their network policy refused.",
    registry=REGISTRY,
)


def count_end(ending: Ending, verdict: Verdict) -> None:
    """A run is over and its row says so."""
    ENDS.labels(verdict.reason).inc()
    if verdict.restart_in_s is not None:
        RESTARTS.labels(verdict.reason).inc()
    if ending.cause == Cause.FENCE:
        LEASE_MISSES.labels("lost").inc()
