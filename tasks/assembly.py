"""Putting a runner together and taking it apart again, in an order that loses nothing."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from app.broker import Announcer
from app.database import Database, database_now
from app.logs import stream
from app.redis_client import connect
from app.runners import repository as runners
from app.runners.capacity import Size
from app.runners.models import Runner as RunnerRow
from app.secrets import keys
from app.secrets.envelope import Opener
from app.secrets.keys import CredentialKeyError
from app.settings import Settings
from app.strategies.states import Reason
from app.strategies.termination import bury
from app.version import PLATFORM_VERSION
from sandbox import Host, HostConfig
from tasks import metrics
from tasks.claims import Claims
from tasks.control import Registry
from tasks.heartbeat import Heartbeat, HeartbeatConfig
from tasks.identity import Identity, identify
from tasks.logs.bounds import Bounds
from tasks.logs.reader import LogReader
from tasks.logs.shipper import LogShipper
from tasks.metrics_server import MetricsServer
from tasks.program import Terms, api_relay
from tasks.room import Room
from tasks.runner import Parts, Runner
from tasks.usage import NetworkNews, UsageSampler
from tasks.wake import WakeListener

log = logging.getLogger(__name__)

_IDLE_WITHIN_S = 20.0
_SHIP_WITHIN_S = 5.0
_SPARE_SLOTS = 8
# Of 500 that begin at once on two busy cores some need more than ten seconds; to give them up and
# begin again makes it worse. The lease is what bounds a start that hangs with its runner.
_START_WITHIN_S = 30.0


@dataclass(frozen=True)
class Assembly:
    """A runner with everything that works for it."""

    runner: Runner
    identity: Identity
    database: Database
    announcer: Announcer
    host: Host
    heartbeat: Heartbeat
    wake: WakeListener
    shipper: LogShipper
    reader: LogReader
    sampler: UsageSampler
    metrics_server: MetricsServer | None


def assemble(settings: Settings) -> Assembly:
    """A runner that is ready for its first claim.

    What a predecessor of the same name left on this host is dead before its strategies are queued
    again, at once and without waiting for their leases.

    Raises:
        SandboxUnavailableError: this host cannot isolate; the message has the remedies.
        sqlalchemy.exc.SQLAlchemyError: the database is away or has no schema.
        MetricsPortError: RUNNER_METRICS_PORT cannot be had.
        CredentialKeyError: this runner could not open what is, or will be, stored.
    """
    identity = identify(settings.runner_name)
    relay, api_url = api_relay(settings.sequence_api_url)
    news = NetworkNews()
    host = Host.open(
        HostConfig(
            name=settings.runner_name,
            api=relay,
            slots=settings.runner_max_strategies + _SPARE_SLOTS,
            first_uid=settings.runner_first_uid,
            start_timeout_s=_START_WITHIN_S,
            rootfs=settings.runtime_rootfs,
            uplink=settings.runner_uplink,
        ),
        news,
    )
    try:
        assembly = _assemble_on(host, settings, identity, api_url)
    except BaseException:
        # Nothing runs yet; its control groups would stay behind for ever.
        host.close()
        raise
    news.listener = assembly.sampler.tell
    return assembly


def _assemble_on(host: Host, settings: Settings, identity: Identity, api_url: str) -> Assembly:
    database = Database(settings.database_url, pool_size=20)
    redis = connect(settings.redis_url)
    announcer = Announcer(settings)
    registry = Registry()
    claims = Claims(
        database,
        identity.runner_id,
        lease_s=settings.lease_s,
        runs_kept=settings.log_runs_kept,
        room=Room(
            Size.limit(settings.runner_cpu_millis, settings.runner_memory_mb), settings.queues
        ),
    )
    server = _show_metrics(settings, registry)
    opener = Opener(settings.credential_encryption_key)
    _sign_in(settings, identity, database, opener)
    _check_keys(identity, database, opener)
    _take_over(identity, database, claims, announcer)
    heartbeat = Heartbeat(
        HeartbeatConfig(identity.runner_id, settings.heartbeat_s, settings.lease_s),
        database,
        claims,
        registry,
        host.extend,
    )
    shipper = LogShipper(redis, Bounds(settings.log_max_lines, settings.log_max_bytes))
    reader = LogReader()
    sampler = UsageSampler(redis, claims)
    wake = WakeListener(redis, identity.runner_id, heartbeat.beat_now)
    parts = Parts(
        settings=settings,
        runner_id=identity.runner_id,
        claims=claims,
        registry=registry,
        heartbeat=heartbeat,
        shipper=shipper,
        reader=reader,
        sampler=sampler,
        announcer=announcer,
        host=host,
        opener=opener,
        terms=Terms(
            api_url=api_url,
            max_unpacked_bytes=settings.artifact_max_unpacked_bytes,
            start_cpu_millis=settings.runner_start_cpu_millis,
            network_mode="none" if host.uplink == "none" else "internet",
        ),
        bury=partial(_bury, database, redis),
        delete_logs=partial(_delete_logs, redis),
    )
    for thread in (heartbeat, shipper, reader, sampler, wake):
        thread.start()
    log.info("runner_ready", extra={"runner_id": identity.runner_id, "pid": os.getpid()})
    return Assembly(
        runner=Runner(parts),
        identity=identity,
        database=database,
        announcer=announcer,
        host=host,
        heartbeat=heartbeat,
        wake=wake,
        shipper=shipper,
        reader=reader,
        sampler=sampler,
        metrics_server=server,
    )


def take_apart(assembly: Assembly) -> None:
    """Wait for the evicted runs, then end threads, sandboxes and connections, in this order."""
    if not assembly.runner.wait_until_idle(_IDLE_WITHIN_S):
        log.error("runs_left_behind", extra={"runner_id": assembly.identity.runner_id})
    if assembly.metrics_server is not None:
        assembly.metrics_server.close()
    assembly.wake.close()
    assembly.sampler.close()
    assembly.heartbeat.close()
    assembly.reader.close()
    assembly.shipper.close(_SHIP_WITHIN_S)
    assembly.host.close()
    _sign_out(assembly.identity, assembly.database)
    assembly.announcer.close()
    assembly.database.close()


def _show_metrics(settings: Settings, registry: Registry) -> MetricsServer | None:
    metrics.RUNNING.set_function(lambda: len(registry.snapshot()))
    if not settings.runner_metrics_port:
        return None
    return MetricsServer(
        metrics.REGISTRY,
        settings.runner_metrics_host,
        settings.runner_metrics_port,
        settings.metrics_token,
    )


def _sign_in(settings: Settings, identity: Identity, database: Database, opener: Opener) -> None:
    with database.transaction() as session:
        session.add(
            RunnerRow(
                runner_id=identity.runner_id,
                host_key=identity.host_key,
                host=identity.host,
                name=identity.name,
                version=PLATFORM_VERSION,
                queues=list(settings.queues),
                key_ids=list(opener.key_ids),
                max_strategies=settings.runner_max_strategies,
                cpu_millis=settings.runner_cpu_millis,
                memory_mb=settings.runner_memory_mb,
                started_at=database_now(),
                last_heartbeat_at=database_now(),
            )
        )


def _check_keys(identity: Identity, database: Database, opener: Opener) -> None:
    """After the sign-in, which `rotate-keys` reads after it has put a key in force: one of the two
    sees the other."""
    try:
        with database.transaction() as session:
            keys.check_opening(session, opener.key_ids)
    except CredentialKeyError:
        _sign_out(identity, database)
        raise


def _take_over(
    identity: Identity, database: Database, claims: Claims, announcer: Announcer
) -> None:
    with database.transaction() as session:
        earlier = runners.predecessors(session, identity.host_key, identity.runner_id)
    waiting = claims.take_back(earlier)
    with database.transaction() as session:
        session.execute(delete(RunnerRow).where(RunnerRow.runner_id.in_(earlier)))
    for strategy_id, queue in waiting:
        announcer.announce(strategy_id, queue)
    if waiting:
        metrics.RESTARTS.labels(Reason.RUNNER_LOST).inc(len(waiting))
        log.info("took_over", extra={"strategies": len(waiting), "predecessors": earlier})


def _sign_out(identity: Identity, database: Database) -> None:
    with database.transaction() as session:
        session.execute(delete(RunnerRow).where(RunnerRow.runner_id == identity.runner_id))


def _bury(database: Database, redis: Redis, strategy_id: str) -> None:
    try:
        bury(database, redis, strategy_id)
    except SQLAlchemyError as error:
        # It is stopped and marked as deleted: the sweep finds it.
        log.warning("not_buried", extra={"strategy_id": strategy_id, "error": type(error).__name__})


def _delete_logs(redis: Redis, run_ids: Sequence[str]) -> None:
    try:
        stream.delete_runs(redis, run_ids)
    except RedisError as error:
        log.warning("logs_not_deleted", extra={"runs": list(run_ids), "error": str(error)})
