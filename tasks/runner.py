"""A runner: one process that claims strategies and runs each in a thread of Celery's pool."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from app import log_context
from app.broker import Announcer
from app.logs.stream import Channel
from app.secrets.envelope import EnvelopeError, Opener
from app.settings import Settings
from app.strategies.states import Reason
from sandbox import (
    Host,
    NoUplinkError,
    ProgramInvalidError,
    RunOverdueError,
    Sandbox,
    SandboxError,
)
from tasks import metrics
from tasks.claims import Claim, Claims, Verdict
from tasks.control import Registry, RunControl
from tasks.ending import Cause, Ending
from tasks.heartbeat import Heartbeat, fence_after_s, guarded_until
from tasks.hooks import Hooks
from tasks.logs.capture import Capture
from tasks.logs.limits import Rate
from tasks.logs.reader import LogReader
from tasks.logs.redaction import Redactor
from tasks.logs.run_log import RunLog
from tasks.logs.shipper import LogShipper
from tasks.program import CorruptArtifactError, Terms, build_program, open_secrets
from tasks.supervision import Supervision, Watch
from tasks.usage import UsageSampler, tell_refusals
from tasks.words import evidence, farewell, greeting

log = logging.getLogger(__name__)

_REPORT_RETRY_S = 1.0
# A runner has 30 s from SIGTERM on; what follows the grace takes some of them.
_EVICTION_GRACE_S = 15.0
_EVICTION_GRACE_BEFORE_HOOK_S = 8.0
_ANNOUNCE_AFTER_SHUTDOWN_S = 1.5
_CAUSES: dict[type[Exception], Cause] = {
    EnvelopeError: Cause.SECRETS,
    CorruptArtifactError: Cause.ARTIFACT,
    ProgramInvalidError: Cause.NETWORK,
    NoUplinkError: Cause.NETWORK,
    RunOverdueError: Cause.FENCE,
}


@dataclass(frozen=True)
class Parts:
    """What a runner is made of; `tasks.assembly` puts it together and takes it apart."""

    settings: Settings
    runner_id: str
    claims: Claims
    registry: Registry
    heartbeat: Heartbeat
    shipper: LogShipper
    reader: LogReader
    sampler: UsageSampler
    announcer: Announcer
    host: Host
    opener: Opener
    terms: Terms
    bury: Callable[[str], None]
    delete_logs: Callable[[Sequence[str]], None]


class Runner:
    """Runs strategies; `run` is called by many threads at once, each for one strategy."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._shutdown_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._shutdown_at: float | None = None
        self._give_up = threading.Event()
        self._hooks = Hooks(
            host=parts.host,
            opener=parts.opener,
            terms=parts.terms,
            start_s=parts.settings.runner_start_s,
            lease_s=parts.settings.lease_s,
            shutdown_fd=self._shutdown_fd,
            reader=parts.reader,
            log_rate=log_rate(parts.settings),
        )

    def shut_down(self) -> None:
        """Evict everything; safe in a signal handler, for it takes no lock."""
        if self._shutdown_at is None:
            self._shutdown_at = time.monotonic()
            self._parts.heartbeat.is_stopping = True
            os.eventfd_write(self._shutdown_fd, 1)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether all runs were over, and reported, within this time."""
        is_idle = self._parts.registry.wait_until_empty(timeout_s)
        self._give_up.set()
        return is_idle

    def run(self, strategy_id: str, queue: str) -> None:
        """Claim this strategy, if it waits, and run it to its end; `queue` is where it waited."""
        if self._shutdown_at is not None:
            self._announce_elsewhere(strategy_id, queue)
            return
        self._parts.host.expect_spawn()
        # The lease begins no earlier than this.
        fence_at = time.monotonic() + fence_after_s(self._parts.settings.lease_s)
        claim = self._parts.claims.claim(strategy_id)
        if claim is None:
            log.info("nothing_to_claim", extra={"strategy_id": strategy_id})
            return
        # The row knows better than the message, which may be about an earlier start.
        with log_context.bound(**_names(claim), request_id=claim.request_id):
            self._run_claimed(claim, fence_at)

    def _run_claimed(self, claim: Claim, fence_at: float) -> None:
        strategy_id = claim.strategy_id
        control = RunControl(strategy_id, claim.epoch, fence_at, claim.run_id)
        self._parts.registry.add(control)
        # A stop that came between the claim and the line above found nobody to tell.
        self._parts.heartbeat.beat_now()
        run_log = self._parts.shipper.open(strategy_id, claim.run_id)
        try:
            log.info("claimed", extra=_names(claim))
            ending = self._live(claim, control, run_log)
            # Before the report: who is announced by it, itself perhaps, may want this very room.
            self._parts.claims.room.release(claim.run_id)
            self._report(claim, ending, run_log)
        finally:
            self._parts.claims.room.release(claim.run_id)
            self._parts.registry.remove(control)
            self._call_who_fits()

    def _live(self, claim: Claim, control: RunControl, run_log: RunLog) -> Ending:
        """The hook that a lost run left behind, the program, and the hook of its own ending."""
        if claim.hook_due is not None:
            instead = self._catch_up(claim, claim.hook_due, control, run_log)
            if instead is not None:
                return instead
        run_log.write(Channel.SYSTEM, greeting(claim))
        ending = self._attempt(claim, control, run_log)
        if ending.cause == Cause.FENCE:
            return ending
        left = self._hooks.run(claim, control, run_log, ending.own_reason)
        if left == Cause.FENCE:
            return replace(ending, cause=Cause.FENCE)
        return replace(ending, hook_due=ending.own_reason if left else None)

    def _catch_up(
        self, claim: Claim, due: Reason, control: RunControl, run_log: RunLog
    ) -> Ending | None:
        """Run a hook that was left behind; an ending when the program does not start after it."""
        left = self._hooks.run(claim, control, run_log, due)
        if left is not None:
            return Ending(left, hook_due=due)
        try:
            self._parts.claims.hook_is_done(claim)
        except SQLAlchemyError as error:
            # It runs once more if this runner is lost now: a hook runs at least once.
            log.warning("hook_not_noted", extra={**_names(claim), "error": type(error).__name__})
        if claim.is_hook_only or control.stop_requested:
            return Ending(Cause.STOP)
        return None if self._shutdown_at is None else Ending(Cause.EVICTION)

    def _attempt(self, claim: Claim, control: RunControl, run_log: RunLog) -> Ending:
        """Run it; whatever goes wrong on our side becomes an ending too, never a lost claim."""
        try:
            return self._execute(claim, control, run_log)
        except tuple(_CAUSES) as error:
            return _refused(_CAUSES[type(error)], str(error))
        except (SandboxError, OSError) as error:
            log.error("sandbox_failed", extra={**_names(claim), "error": str(error)})
            return _refused(Cause.SANDBOX, str(error))
        except Exception:
            log.exception("run_failed", extra=_names(claim))
            return _refused(Cause.SANDBOX, "an error of the platform; see its own log")

    def _execute(self, claim: Claim, control: RunControl, run_log: RunLog) -> Ending:
        parts = self._parts
        begun_at = time.monotonic()
        secrets = open_secrets(claim, parts.opener)
        program = build_program(claim, secrets, parts.terms)
        until_s = guarded_until(control, parts.settings.lease_s)
        sandbox = parts.host.spawn(program, run_name=control.run_id, until_s=until_s)
        started_at = time.monotonic()
        metrics.STARTS.observe(claim.waited_s + started_at - begun_at)
        parts.sampler.add(claim.run_id, sandbox, run_log)
        try:
            supervision = Supervision(sandbox, self._watch(claim, control, run_log, secrets))
            supervision.watch()
        except BaseException:
            sandbox.kill()
            sandbox.finish()
            raise
        finally:
            parts.sampler.remove(claim.run_id)
        lived_s = time.monotonic() - started_at
        ending = _ending(sandbox, supervision, lived_s)
        tell_refusals(sandbox, run_log)
        for line in evidence(claim, ending):
            run_log.write(Channel.SYSTEM, line)
        return ending

    def _watch(
        self, claim: Claim, control: RunControl, run_log: RunLog, secrets: dict[str, str]
    ) -> Watch:
        settings = self._parts.settings
        grace_s = claim.stop.get("grace_secs", settings.stop_grace_s)
        most_s = _EVICTION_GRACE_BEFORE_HOOK_S if claim.hooks else _EVICTION_GRACE_S
        return Watch(
            control=control,
            shutdown_fd=self._shutdown_fd,
            start_s=settings.runner_start_s,
            timeout_s=claim.resources["timeout_secs"],
            silence_s=claim.watchdog.get("silence_secs", 0),
            grace_s=grace_s,
            eviction_grace_s=min(grace_s, most_s),
            run_log=run_log,
            capture=Capture(run_log, Redactor(secrets), log_rate(settings)),
            reader=self._parts.reader,
        )

    def _report(self, claim: Claim, ending: Ending, run_log: RunLog) -> None:
        """Write the ending to the row, however long the database is away."""
        ending = replace(ending, log_lines=run_log.seal())
        verdict = self._finish(claim, ending)
        if verdict is None or not verdict.is_ours:
            run_log.close("this run belongs to another runner by now")
            metrics.LEASE_MISSES.labels("lost").inc()
            log.warning("ending_not_ours", extra=_names(claim))
            return
        metrics.count_end(ending, verdict)
        log.info("ended", extra={**_names(claim), "reason": verdict.reason})
        if verdict.is_deleted:
            self._parts.shipper.discard(run_log)
            self._parts.bury(claim.strategy_id)
            return
        run_log.close(farewell(ending, verdict))
        if verdict.purged_runs:
            self._parts.delete_logs(verdict.purged_runs)
        if verdict.announce:
            self._announce_elsewhere(claim.strategy_id, verdict.queue)

    def _finish(self, claim: Claim, ending: Ending) -> Verdict | None:
        while True:
            try:
                return self._parts.claims.finish(claim, ending)
            except SQLAlchemyError as error:
                log.error("report_failed", extra={**_names(claim), "error": type(error).__name__})
                if self._give_up.wait(_REPORT_RETRY_S):
                    return None

    def _call_who_fits(self) -> None:
        """Announce those that waited for room like that which has just become free."""
        if self._shutdown_at is not None:
            return
        try:
            for strategy_id, queue in self._parts.claims.call_who_fits():
                self._parts.announcer.announce(strategy_id, queue)
        except SQLAlchemyError as error:
            log.warning("nobody_called", extra={"error": type(error).__name__})

    def _announce_elsewhere(self, strategy_id: str, queue: str) -> None:
        """Tell the queue; during a shutdown not before our own consumer is gone from it."""
        if self._shutdown_at is not None:
            at = self._shutdown_at + _ANNOUNCE_AFTER_SHUTDOWN_S
            self._give_up.wait(max(0.0, at - time.monotonic()))
        self._parts.announcer.announce(strategy_id, queue)


def _refused(cause: Cause, explanation: str) -> Ending:
    metrics.SANDBOX_REFUSALS.labels(cause).inc()
    return Ending(cause, explanation=explanation)


def _ending(sandbox: Sandbox, supervision: Supervision, lived_s: float) -> Ending:
    outcome = sandbox.finish()
    return Ending(
        # Killed by the guard: this process stood still for longer than its lease.
        cause=Cause.FENCE if outcome.overdue else supervision.cause,
        exit_code=outcome.exit_code,
        was_oom=outcome.oom,
        full=outcome.full,
        too_many_locks=outcome.too_many_locks,
        lived_s=lived_s,
        stalled_s=supervision.watchdog.stalled_s,
        last_error_line=supervision.last_error_line,
        usage=vars(outcome.usage),
        isolation=dict(sandbox.isolation),
    )


def log_rate(settings: Settings) -> Rate:
    """What these settings let each strategy log."""
    return Rate(settings.log_lines_per_s, settings.log_bytes_per_s, settings.log_burst_s)


def _names(claim: Claim) -> dict[str, object]:
    return {"strategy_id": claim.strategy_id, "run_id": claim.run_id, "epoch": claim.epoch}
