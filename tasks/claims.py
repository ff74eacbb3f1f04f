"""Claims, leases and endings: every statement of a runner about rows that it owns.

Each carries the epoch (or the runner's id together with the row's own epoch): a late one changes
nothing. Times are the database's, so that runners on many machines agree.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.artifacts import repository as artifacts
from app.clients.models import Client
from app.database import Database, database_now
from app.deployments.automatic import Rollback, roll_back_if_new
from app.secrets.envelope import Sealed
from app.strategies import lifecycle
from app.strategies.hooks import left_behind
from app.strategies.lifecycle import Change
from app.strategies.models import Run, Strategy
from app.strategies.schedule import kept_on
from app.strategies.states import DesiredState, Event, Reason, Status
from tasks.ending import Ending, consequence
from tasks.room import Room
from tasks.waiting_room import call, enter


@dataclass(frozen=True)
class Claim:
    """A strategy that this runner owns now, with everything that is needed to run it.

    Attributes:
        hook_due: why an earlier run ended whose hook has to run first, if one was left behind.
        is_hook_only: its owner stopped or deleted it meanwhile: nothing runs after that hook.
        waited_s: how long it was queued.
        request_id: of the request that asked for this start, if one did.
    """

    strategy_id: str
    run_id: str
    epoch: int
    name: str
    client_code: str
    is_sandbox: bool
    entrypoint: str
    artifact_sha256: str
    artifact: bytes = field(repr=False)
    env: dict[str, str] = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    resources: dict[str, int]
    network: dict[str, Any]
    stop: dict[str, Any]
    hooks: dict[str, Any]
    watchdog: dict[str, Any]
    secrets: Sealed | None = field(repr=False)
    sequence_api_key: Sealed | None = field(repr=False)
    secrets_changes: Sequence[Mapping[str, str]] = field(default=(), repr=False)
    hook_due: Reason | None = None
    is_hook_only: bool = False
    waited_s: float = 0.0
    request_id: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a strategy after its run ended.

    Attributes:
        is_ours: False when the row had another owner by then; nothing was written.
        announce: it waits in `queue` and runners have to be told.
        purged_runs: runs whose logs are to be removed.
        is_deleted: its owner deleted it, and nothing of it runs any more.
        rollback: the version that came back instead of the one that crash-looped, if one did.
    """

    is_ours: bool
    status: str = ""
    reason: str = ""
    restart_in_s: float | None = None
    announce: bool = False
    queue: str = ""
    purged_runs: tuple[str, ...] = ()
    is_deleted: bool = False
    rollback: Rollback | None = None


class Claims:
    """The claims of one runner."""

    def __init__(
        self,
        database: Database,
        runner_id: str,
        *,
        lease_s: float,
        runs_kept: int,
        room: Room | None = None,
    ) -> None:
        self._database = database
        self._runner_id = runner_id
        self._actor = f"runner:{runner_id}"
        self._lease_s = lease_s
        self._runs_kept = runs_kept
        self.room = room or Room()

    def claim(self, strategy_id: str) -> Claim | None:
        """Take a queued strategy, adding one to its epoch.

        None when it does not wait, or when there is no room for it: then its row says so, and
        whoever has room calls it.
        """
        run_id = str(uuid.uuid4())
        claim = None
        try:
            claim = self._claim(strategy_id, run_id)
        finally:
            if claim is None:
                self.room.release(run_id)
        return claim

    def _claim(self, strategy_id: str, run_id: str) -> Claim | None:
        with self._database.transaction() as session:
            row = lifecycle.lock(session, strategy_id)
            if row is None or not _may_be_claimed(row):
                return None
            if not enter(session, self.room, row, run_id):
                return None
            queued_at = row.queued_at
            values = {
                "epoch": row.epoch + 1,
                "run_id": run_id,
                "runner_id": self._runner_id,
                "lease_expires_at": database_now() + self._lease_s,
                "stop_requested_at": None if _is_wanted(row) else database_now(),
                "exit_code": None,
                "version_started_at": row.version_started_at or _first_start(row),
            }
            try:
                lifecycle.apply(
                    session, row, Change(Event.CLAIM, Reason.STARTED, self._actor, values)
                )
            except lifecycle.LostRaceError:
                return None
            session.add(
                Run(
                    run_id=run_id,
                    strategy_id=strategy_id,
                    epoch=row.epoch,
                    runner_id=self._runner_id,
                    artifact_sha256=row.artifact_sha256,
                    version=row.version,
                    started_at=database_now(),
                )
            )
            # `updated_at` is the moment of this claim, by the same clock.
            waited_s = row.updated_at - queued_at if queued_at else 0.0
            return replace(_claim(session, row), waited_s=max(0.0, waited_s))

    def renew(self, strategy_ids: list[str]) -> dict[str, tuple[int, bool]]:
        """Extend the leases of these; epoch and whether a stop was requested, for each still ours.

        One statement, however many there are.
        """
        if not strategy_ids:
            return {}
        with self._database.transaction() as session:
            rows = session.execute(
                update(Strategy)
                .where(
                    Strategy.strategy_id.in_(strategy_ids),
                    Strategy.runner_id == self._runner_id,
                    Strategy.status == Status.RUNNING,
                )
                .values(lease_expires_at=database_now() + self._lease_s)
                .returning(Strategy.strategy_id, Strategy.epoch, Strategy.stop_requested_at)
                .execution_options(synchronize_session=False)
            ).all()
        return {row.strategy_id: (row.epoch, row.stop_requested_at is not None) for row in rows}

    def record_isolation(self, isolations: Mapping[str, dict[str, Any]]) -> None:
        """Write, by run id, what runs are sealed off by; their runner may not live to their end."""
        with self._database.transaction() as session:
            for run_id, isolation in isolations.items():
                session.execute(update(Run).where(Run.run_id == run_id).values(isolation=isolation))

    def finish(self, claim: Claim, ending: Ending) -> Verdict:
        """Write how a run ended and what follows; nothing if the row has another owner by now."""
        with self._database.transaction() as session:
            row = lifecycle.lock(session, claim.strategy_id)
            if row is None or not self._owns(row, claim.epoch):
                return Verdict(is_ours=False)
            change = consequence(row, ending, self._actor)
            values = {"hook_due": ending.hook_due} | kept_on(row, change.values)
            change = replace(change, values=values)
            self._end_run(session, claim, ending, change.reason)
            lifecycle.apply(session, row, change)
            rollback = None
            if change.event == Event.CRASH_LOOP:
                rollback = roll_back_if_new(session, row, self._actor)
            if row.deleted_at is not None and row.status != Status.QUEUED:
                return Verdict(True, row.status, change.reason, is_deleted=True)
            return replace(self._verdict(session, row, change.reason), rollback=rollback)

    def hook_is_done(self, claim: Claim) -> None:
        """The hook that an earlier run left behind is over; nobody has to run it again."""
        with self._database.transaction() as session:
            session.execute(
                update(Strategy)
                .where(Strategy.strategy_id == claim.strategy_id, Strategy.epoch == claim.epoch)
                .values(hook_due=None)
                .execution_options(synchronize_session=False)
            )

    def take_back(self, runner_ids: list[str]) -> list[tuple[str, str]]:
        """Queue again what dead predecessors left running; id and queue of each."""
        with self._database.transaction() as session:
            rows = session.scalars(
                select(Strategy)
                .where(Strategy.status == Status.RUNNING, Strategy.runner_id.in_(runner_ids))
                .with_for_update()
            ).all()
            return [
                (row.strategy_id, row.latency_target)
                for row in rows
                if lose_runner(session, row, self._actor)
            ]

    def call_who_fits(self) -> list[tuple[str, str]]:
        """After room was released: id and queue of those that waited for it and fit now."""
        if not self.room.is_limited:
            return []
        with self._database.transaction() as session:
            return call(session, self.room)

    def _owns(self, row: Strategy, epoch: int) -> bool:
        is_current = row.epoch == epoch and row.runner_id == self._runner_id
        return is_current and row.status == Status.RUNNING

    def _end_run(self, session: Session, claim: Claim, ending: Ending, reason: Reason) -> None:
        session.execute(
            update(Run)
            .where(Run.run_id == claim.run_id)
            .values(
                ended_at=database_now(),
                reason=reason,
                exit_code=ending.exit_code,
                usage=ending.usage,
                isolation=ending.isolation,
                log_lines=ending.log_lines,
                # With the limits of this run: those of the row may be others by now.
                evidence=ending.evidence | claim.resources,
            )
        )

    def _verdict(self, session: Session, row: Strategy, reason: Reason) -> Verdict:
        own = select(Client.log_runs_kept).where(Client.client_id == row.client_id)
        old = session.scalars(
            select(Run.run_id)
            .where(Run.strategy_id == row.strategy_id)
            .order_by(Run.epoch.desc())
            .offset(session.scalar(own) or self._runs_kept)
        ).all()
        session.execute(delete(Run).where(Run.run_id.in_(old)))
        restart_in_s = None
        if row.next_restart_at is not None:
            restart_in_s = max(0.0, row.next_restart_at - _now(session))
            if restart_in_s == 0:
                restart_due(session, row, self._actor)
        return Verdict(
            is_ours=True,
            status=row.status,
            reason=reason,
            restart_in_s=restart_in_s,
            announce=row.status == Status.QUEUED,
            queue=row.latency_target,
            purged_runs=tuple(old),
        )


def restart_due(session: Session, row: Strategy, actor: str) -> None:
    """Queue a failed strategy again; counts as one automatic restart."""
    values = {"restart_count": row.restart_count + 1}
    lifecycle.apply(session, row, Change(Event.RESTART_DUE, Reason.RESTARTING, actor, values))


def lose_runner(session: Session, row: Strategy, actor: str) -> bool:
    """Its runner is gone: True if it was queued again, False if a stop or delete was due anyway
    and no hook has to be run by another runner."""
    session.execute(
        update(Run)
        .where(Run.run_id == row.run_id, Run.ended_at.is_(None))
        .values(ended_at=database_now(), reason=Reason.RUNNER_LOST)
    )
    due = left_behind(row)
    if not due and not _is_wanted(row):
        lifecycle.apply(session, row, Change(Event.FINISH_STOP, Reason.STOPPED_BY_USER, actor))
        return False
    lifecycle.apply(session, row, Change(Event.LOSE_RUNNER, Reason.RUNNER_LOST, actor, due))
    return True


def _may_be_claimed(row: Strategy) -> bool:
    return row.status == Status.QUEUED and (_is_wanted(row) or row.hook_due is not None)


def _is_wanted(row: Strategy) -> bool:
    return row.desired_state == DesiredState.RUNNING and row.deleted_at is None


def _first_start(row: Strategy) -> Any:
    """When its version first ran, if that is now; a claim for a hook alone does not run it."""
    return database_now() if _is_wanted(row) else None


def _claim(session: Session, row: Strategy) -> Claim:
    code = session.scalars(select(Client.code).where(Client.client_id == row.client_id)).one()
    return Claim(
        strategy_id=row.strategy_id,
        run_id=str(row.run_id),
        epoch=row.epoch,
        name=row.name,
        client_code=code,
        is_sandbox=row.is_sandbox,
        entrypoint=row.entrypoint,
        artifact_sha256=row.artifact_sha256,
        artifact=artifacts.load(session, row.artifact_sha256),
        env=row.env,
        manifest=row.manifest,
        resources=row.resources,
        network=row.network,
        stop=row.stop,
        hooks=row.hooks,
        watchdog=row.watchdog,
        secrets=row.sealed("secrets"),
        sequence_api_key=row.sealed("sequence_api_key"),
        secrets_changes=row.secrets_changes,
        hook_due=Reason(row.hook_due) if row.hook_due else None,
        is_hook_only=not _is_wanted(row),
        request_id=row.start_request_id,
    )


def _now(session: Session) -> float:
    return session.scalars(select(database_now())).one()
