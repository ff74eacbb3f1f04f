"""Strategies, runners and what lies between them; every decision is the platform's own code.

Played here are only the thread that supervises a run, the guard, and the network that loses and
repeats messages. The messages themselves are real ones in a real Redis.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from model.clocks import Time
from redis import Redis
from sqlalchemy import delete, select
from support.api import Web
from support.owners import Rows

from app.errors import NotFoundError
from app.models import Artifact, Run, Strategy, StrategyEvent
from app.strategies import service
from app.strategies.states import TRANSITIONS, DesiredState, Event, Status
from tasks.claims import Claim, Claims, Verdict
from tasks.control import Registry, RunControl
from tasks.ending import Cause, Ending
from tasks.heartbeat import Heartbeat, HeartbeatConfig, fence_after_s, guard_after_s
from tasks.sweep import Sweep

LEASE_S = 15.0
_QUEUE = "default"
_WAKES_S = 0.002


@dataclass
class Life:
    """One instance of a strategy, from its claim on.

    Attributes:
        guarded_until_s: by its runner's clock; the guard kills it then, whatever its runner does.
        ending: how it ended, once it is dead and its runner knows; not yet in the row.
    """

    claim: Claim
    control: RunControl
    guarded_until_s: float
    is_dead: bool = False
    ending: Ending | None = None


@dataclass
class ModelRunner:
    """One runner process; its monotonic clock began some time of its own ago."""

    runner_id: str
    host: int
    world: World
    off_s: float
    is_frozen: bool = False
    registry: Registry = field(default_factory=Registry)
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        database = self.world.web.services.database
        self.claims = _StallingClaims(self, database, lease_s=LEASE_S, runs_kept=3)
        config = HeartbeatConfig(self.runner_id, 3.0, LEASE_S, self.clock)
        self.heartbeat = Heartbeat(config, database, self.claims, self.registry, self.extend)

    def clock(self) -> float:
        """Its monotonic clock."""
        return self.world.time.now_s - self.off_s

    def extend(self, run_ids: list[str], until_s: float) -> None:
        """What the guard is told; one that it killed stays dead."""
        for life in self.lives:
            if life.claim.run_id in run_ids and self.is_alive(life):
                life.guarded_until_s = until_s

    def is_alive(self, life: Life) -> bool:
        """Whether its program executes instructions."""
        return not life.is_dead and self.clock() < life.guarded_until_s

    def may_run(self, life: Life) -> bool:
        """Whether the runner holds it for its own, and would let it go on."""
        is_fenced = life.control.is_lost or self.clock() >= life.control.fence_at
        return self.is_alive(life) and not is_fenced

    def take(self, strategy_id: str) -> None:
        """What `Runner.run` does about a message."""
        began_s = self.clock()
        claim = self.claims.claim(strategy_id)
        if claim is None:
            return
        control = RunControl(strategy_id, claim.epoch, began_s + fence_after_s(LEASE_S))
        control.run_id = claim.run_id
        self.registry.add(control)
        # A start that comes too late starts nothing: the sandbox refuses it.
        self.lives.append(Life(claim, control, began_s + guard_after_s(LEASE_S)))

    def attend(self) -> None:
        """What the threads of its runs do whenever the runner is awake."""
        for life in self.lives:
            if not life.is_dead and not self.may_run(life):
                self.end(life, Ending(Cause.FENCE, exit_code=137))
            elif not life.is_dead and life.control.stop_requested:
                self.end(life, Ending(Cause.STOP, exit_code=0))

    def end(self, life: Life, ending: Ending) -> None:
        """The program is gone; the row does not know it yet."""
        life.is_dead = True
        life.ending = ending

    def report(self, life: Life) -> Verdict:
        """Write an ending, and tell what follows from it."""
        assert life.ending is not None
        verdict = self.world.finish(self.claims, life)
        if life in self.lives:
            self.lives.remove(life)
            self.registry.remove(life.control)
            self.world.past.append((self, life))
        if verdict.is_deleted:
            self.world.bury(life.claim.strategy_id)
        elif verdict.announce:
            self.world.announce(life.claim.strategy_id)
        return verdict

    def close(self) -> None:
        """Give back what the operating system gave."""
        for life in self.lives:
            self.registry.remove(life.control)
        self.lives.clear()


class _StallingClaims(Claims):
    """The real ones of a runner that may stand still just before, or just after, a statement."""

    def __init__(self, runner: ModelRunner, database: object, **options: object) -> None:
        super().__init__(database, runner.runner_id, **options)  # type: ignore[arg-type]
        self._runner = runner
        self.stalls: list[Callable[[], None]] = []

    def claim(self, strategy_id: str) -> Claim | None:
        with self._stalling():
            return super().claim(strategy_id)

    def renew(self, strategy_ids: list[str]) -> dict[str, tuple[int, bool]]:
        with self._stalling():
            return super().renew(strategy_ids)

    def _stalling(self) -> _Stall:
        return _Stall(self.stalls)


class _Stall:
    """Runs the first of two acts before a block and the second behind it."""

    def __init__(self, acts: list[Callable[[], None]]) -> None:
        self._acts = acts

    def __enter__(self) -> None:
        if self._acts:
            self._acts.pop(0)()

    def __exit__(self, *_: object) -> None:
        if self._acts:
            self._acts.pop(0)()


class World:
    """All of it; `check()` raises when a promise is broken."""

    def __init__(self, web: Web, redis: Redis, time: Time) -> None:
        self.web = web
        self.redis = redis
        self.time = time
        self.rows = Rows(web.services.database)
        self.caller = web.caller()
        self.owner = web.principal(self.caller)
        self.past: list[tuple[ModelRunner, Life]] = []
        self.epochs: dict[str, int] = {}
        self._numbers = itertools.count(1)
        services = web.services
        self.sweep = Sweep(services.database, services.announcer, redis, 10.0)
        self.runners = [self._runner(host) for host in range(3)]

    def _runner(self, host: int) -> ModelRunner:
        return ModelRunner(f"runner-{host}-{next(self._numbers)}", host, self, 1000.0 * host)

    def create(self) -> str:
        """A strategy that its owner wants to run."""
        name = f"s{next(self._numbers)}"
        row = self.caller.created(name, start_immediately=True)
        self.epochs[row["strategy_id"]] = 0
        return str(row["strategy_id"])

    def ask(self, verb: str, strategy_id: str) -> None:
        """What an owner asks; one that is gone is no concern of ours."""
        act = {"start": service.start, "stop": service.stop, "delete": service.delete}[verb]
        try:
            act(self.web.services, self.owner, strategy_id)
        except NotFoundError:
            return

    def messages(self) -> int:
        """How many wait."""
        return int(self.redis.llen(_QUEUE))

    def lose_message(self) -> None:
        """The broker forgets one."""
        self.redis.rpop(_QUEUE)

    def repeat_message(self) -> None:
        """The broker delivers one twice."""
        last = self.redis.lindex(_QUEUE, -1)
        if last is not None:
            self.redis.lpush(_QUEUE, last)

    def deliver(self, runner: ModelRunner) -> None:
        """The oldest message reaches a runner; one that stands still loses it."""
        found = self.redis.rpop(_QUEUE)
        if found is None or runner.is_frozen:
            return
        arguments = json.loads(base64.b64decode(json.loads(found)["body"]))[0]
        runner.take(arguments[0])

    def announce(self, strategy_id: str) -> None:
        """As a runner does."""
        self.web.services.announcer.announce(strategy_id, _QUEUE)

    def bury(self, strategy_id: str) -> None:
        """As a runner does."""
        from app.strategies.termination import bury

        bury(self.web.services.database, self.redis, strategy_id)

    def pass_time(self, seconds: float) -> None:
        """Runners that are awake look after their runs at every fence on the way."""
        until = self.time.now_s + seconds
        while self.time.now_s < until:
            ahead = [
                self.time.now_s + life.control.fence_at - runner.clock()
                for runner, life in self.lives()
                if not life.is_dead
            ]
            # A thread wakes up a little late; and floats that differ by their last bit are equal.
            later = [at + _WAKES_S for at in ahead if at > self.time.now_s]
            self.time.now_s = min([until, *later])
            for runner in self.runners:
                if not runner.is_frozen:
                    runner.attend()
            self.check_lives()

    def kill(self, runner: ModelRunner) -> None:
        """SIGKILL; its programs go with it, and a new process of that name takes its place."""
        for life in runner.lives:
            life.is_dead = True
            life.ending = Ending(Cause.PROGRAM, exit_code=1)
            self.past.append((runner, life))
        runner.close()
        successor = self._runner(runner.host)
        self.runners[self.runners.index(runner)] = successor
        for strategy_id, _ in successor.claims.take_back([runner.runner_id]):
            self.announce(strategy_id)

    def finish(self, claims: Claims, life: Life) -> Verdict:
        """Write an ending; one that comes late must leave everything as it was."""
        assert life.ending is not None
        before = self._snapshot(life.claim.strategy_id)
        verdict = claims.finish(life.claim, life.ending)
        if not verdict.is_ours:
            assert self._snapshot(life.claim.strategy_id) == before, "a late write changed a row"
        return verdict

    def lives(self) -> Iterator[tuple[ModelRunner, Life]]:
        """Every instance that a runner still has on its list."""
        return ((runner, life) for runner in self.runners for life in runner.lives)

    def check_lives(self) -> None:
        """No two at a time."""
        alive = [life.claim.strategy_id for runner, life in self.lives() if runner.is_alive(life)]
        assert len(alive) == len(set(alive)), "two instances live at the same time"

    def check(self) -> None:
        """Every promise that holds at each moment."""
        self.check_lives()
        with self.web.services.database.reading() as session:
            rows = {row.strategy_id: row for row in session.scalars(select(Strategy))}
        for strategy_id, row in rows.items():
            assert row.epoch >= self.epochs[strategy_id], "an epoch fell"
            self.epochs[strategy_id] = row.epoch
            is_running = row.status == Status.RUNNING
            assert (row.runner_id is not None) == is_running
            assert (row.lease_expires_at is not None) == is_running
            self._check_wanted(row)
        for runner, life in self.lives():
            if runner.may_run(life):
                row = rows[life.claim.strategy_id]
                owner = (row.status, row.runner_id, row.epoch)
                mine = (Status.RUNNING, runner.runner_id, life.claim.epoch)
                assert owner == mine, "a runner lets run what is not its own"

    def check_history(self) -> None:
        """Every change of a status is in the table and begins where the last one ended."""
        with self.web.services.database.reading() as session:
            events = session.scalars(select(StrategyEvent).order_by(StrategyEvent.event_id)).all()
        last: dict[str, str] = {}
        for one in events:
            pair = (Status(one.from_status), Event(one.event))
            assert TRANSITIONS[pair] == one.to_status
            assert last.get(one.strategy_id, Status.STOPPED) == one.from_status
            last[one.strategy_id] = one.to_status

    def settle(self) -> None:
        """Nothing breaks any more: what is wanted runs, what is not does not, within minutes."""
        for runner in self.runners:
            runner.is_frozen = False
        for _ in range(60):
            self.pass_time(3.0)
            for runner in self.runners:
                runner.heartbeat.beat()
                runner.attend()
                for life in [life for life in runner.lives if life.ending is not None]:
                    runner.report(life)
            self.sweep.run_once()
            while self.messages():
                self.deliver(self.runners[0])
            self.check()
            if self._is_settled():
                return
        raise AssertionError(f"not settled: {self._unsettled()}")

    def clear(self) -> None:
        """For the next world: no row, no message, no open descriptor."""
        for runner in self.runners:
            runner.close()
        with self.web.services.database.transaction() as session:
            for model in (StrategyEvent, Run, Strategy, Artifact):
                session.execute(delete(model))
        self.redis.flushdb()

    def _is_settled(self) -> bool:
        return not self._unsettled()

    def _unsettled(self) -> list[tuple[str, ...]]:
        alive = {life.claim.strategy_id for runner, life in self.lives() if runner.may_run(life)}
        with self.web.services.database.reading() as session:
            rows = session.scalars(select(Strategy)).all()
        wrong = [
            row
            for row in rows
            if row.deleted_at is not None
            or (row.desired_state == DesiredState.RUNNING) != (row.strategy_id in alive)
        ]
        return [
            (row.strategy_id, row.status, row.status_reason, row.desired_state) for row in wrong
        ]

    def _check_wanted(self, row: Strategy) -> None:
        """One that should run is on its way there: by a message, a sweep, or a runner's report."""
        if row.desired_state != DesiredState.RUNNING or row.deleted_at is not None:
            return
        assert row.status != Status.STOPPED, "a wanted strategy was forgotten"
        if row.status == Status.FAILED:
            assert row.next_restart_at is not None, "a wanted strategy has no way back"

    def _snapshot(self, strategy_id: str) -> object:
        with self.web.services.database.reading() as session:
            found = [
                session.execute(select(model.__table__).where(model.strategy_id == strategy_id))
                .mappings()
                .all()
                for model in (Strategy, Run, StrategyEvent)
            ]
        return [[dict(row) for row in rows] for rows in found]
