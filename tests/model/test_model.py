"""The model check: whatever happens in whatever order, no strategy ever lives twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from model.clocks import Time, drive_postgresql, drive_sqlite
from model.world import ModelRunner, World
from redis import Redis
from sqlalchemy import Engine
from support.api import web

from tasks.ending import Cause, Ending

RUNNERS = st.integers(0, 2)
STRATEGIES = st.integers(0, 1)
# A beat, a little less than a fence, between fence and guard, and beyond a lease.
SECONDS = st.sampled_from([0.0, 0.4, 2.0, 3.0, 11.9, 12.6, 13.3, 13.6, 16.0, 70.0])
ENDINGS = st.sampled_from(
    [
        Ending(Cause.PROGRAM, exit_code=0),
        Ending(Cause.PROGRAM, exit_code=1),
        Ending(Cause.PROGRAM, exit_code=137, was_oom=True),
        Ending(Cause.STOP, exit_code=143),
        Ending(Cause.TIME_OUT, exit_code=143),
        Ending(Cause.EVICTION, exit_code=0),
        Ending(Cause.SANDBOX),
    ]
)
# Quick, and the same each time; MODEL_EXAMPLES=2000 searches for longer, and anew.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "20"))


class Machine(RuleBasedStateMachine):
    """What may happen to two strategies and three runners."""

    make: Callable[[], World]

    @initialize()
    def begin(self) -> None:
        self.world = self.make()
        self.ids = [self.world.create(), self.world.create()]
        for which in (0, 1):
            self.world.deliver(self.world.runners[which])

    @rule(verb=st.sampled_from(["start", "stop", "start", "stop", "delete"]), which=STRATEGIES)
    def ask(self, verb: str, which: int) -> None:
        self.world.ask(verb, self.ids[which])

    @rule(which=RUNNERS)
    def work(self, which: int) -> None:
        """What goes on all the time: a sweep, and whatever it found reaches a runner."""
        self.world.sweep.run_once()
        for _ in range(self.world.messages()):
            self.world.deliver(self.world.runners[which])

    @rule(which=RUNNERS, before=SECONDS, behind=SECONDS, other=RUNNERS)
    def deliver_slowly(self, which: int, before: float, behind: float, other: int) -> None:
        with self.stalling(which, before, behind, other) as runner:
            self.world.deliver(runner)

    @rule(which=RUNNERS, before=SECONDS, behind=SECONDS, other=RUNNERS)
    def beat_slowly(self, which: int, before: float, behind: float, other: int) -> None:
        with self.stalling(which, before, behind, other) as runner:
            runner.heartbeat.beat()

    @rule(which=RUNNERS, seconds=SECONDS, other=RUNNERS, beats_first=st.booleans())
    def stand_still(self, which: int, seconds: float, other: int, beats_first: bool) -> None:
        """SIGSTOP for a while; meanwhile the scheduler and another runner do their work."""
        runner = self.world.runners[which]
        runner.is_frozen = True
        self.world.pass_time(seconds)
        self.work(other)
        self.world.check()
        runner.is_frozen = False
        # Which of its threads comes first is nobody's choice.
        for act in [runner.heartbeat.beat, runner.attend][:: 1 if beats_first else -1]:
            act()

    @rule(ending=ENDINGS, which=st.integers(0, 1), told=st.booleans())
    def end(self, ending: Ending, which: int, told: bool) -> None:
        found = [(runner, life) for runner, life in self.world.lives() if runner.is_alive(life)]
        if found:
            runner, life = found[which % len(found)]
            runner.end(life, ending)
            if told:
                runner.report(life)

    @rule(which=st.integers(0, 9))
    def report_late(self, which: int) -> None:
        """What was seen long ago, and what was written already."""
        found = [(r, life) for r, life in self.world.lives() if life.ending is not None]
        if found:
            runner, life = found[which % len(found)]
            runner.report(life)
        elif self.world.past:
            runner, life = self.world.past[which % len(self.world.past)]
            assert not self.world.finish(runner.claims, life).is_ours

    @rule(which=RUNNERS)
    def kill(self, which: int) -> None:
        self.world.kill(self.world.runners[which])

    @rule(is_lost=st.booleans())
    def mistreat_a_message(self, is_lost: bool) -> None:
        if is_lost:
            self.world.lose_message()
        else:
            self.world.repeat_message()

    @rule(seconds=SECONDS, beating=RUNNERS, working=RUNNERS)
    def pass_time(self, seconds: float, beating: int, working: int) -> None:
        self.world.pass_time(seconds)
        self.work(working)
        self.world.runners[beating].heartbeat.beat()

    @rule(seconds=st.sampled_from([-5.0, 0.2, 2.0, 14.0, 3600.0]))
    def step_the_database_clock(self, seconds: float) -> None:
        self.world.time.database_off_s += seconds

    @invariant()
    def every_promise_holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.settle()
                self.world.check_history()
            finally:
                self.world.clear()

    @contextmanager
    def stalling(
        self, which: int, before: float, behind: float, other: int
    ) -> Iterator[ModelRunner]:
        """One that stands still around its statement, while the others go on."""
        runner = self.world.runners[which]

        def stand_still(seconds: float) -> None:
            runner.is_frozen = True
            self.world.pass_time(seconds)
            self.world.sweep.run_once()
            if other != which:
                self.work(other)
            runner.is_frozen = False

        runner.claims.stalls += [lambda: stand_still(before), lambda: stand_still(behind)]
        try:
            yield runner
        finally:
            runner.claims.stalls.clear()
        runner.attend()


Scene = Callable[[World, str], None]


def a_late_answer(world: World, strategy_id: str) -> None:
    """The statement was in time, its answer was not: the fence counts from before both."""
    first, second, _ = world.runners
    first.claims.stalls += [lambda: None, lambda: world.pass_time(4.0)]
    first.heartbeat.beat()
    first.is_frozen = True
    world.pass_time(11.5)
    world.sweep.run_once()
    world.deliver(second)
    world.check()
    assert [life.claim.strategy_id for life in second.lives] == [strategy_id]


def a_late_start(world: World, strategy_id: str) -> None:
    """It stood still between the claim and the start: nothing is started any more."""
    world.kill(world.runners[0])
    first, second, _ = world.runners
    first.claims.stalls += [lambda: None, lambda: world.pass_time(16.0)]
    world.deliver(first)
    world.sweep.run_once()
    world.deliver(second)
    world.check()
    assert [life.claim.strategy_id for life in second.lives] == [strategy_id]


def a_stop_of_a_lost_one(world: World, strategy_id: str) -> None:
    """What its owner stopped does not come back because its runner is gone."""
    first, second, _ = world.runners
    first.is_frozen = True
    world.ask("stop", strategy_id)
    world.pass_time(16.0)
    world.sweep.run_once()
    world.deliver(second)
    assert world.rows.strategy(strategy_id).status == "stopped"


def an_early_sweep(world: World, strategy_id: str) -> None:
    """The guard has just killed, the lease is not over: nobody may take it yet."""
    first, second, _ = world.runners
    first.is_frozen = True
    world.pass_time(14.5)
    world.sweep.run_once()
    assert world.messages() == 0
    world.pass_time(0.6)
    world.sweep.run_once()
    world.deliver(second)
    assert world.rows.strategy(strategy_id).epoch == 2


def a_clock_that_jumps_forward(world: World, strategy_id: str) -> None:
    """By the database every lease is over; the runner lives, and nobody may take its place."""
    first, second, _ = world.runners
    world.time.database_off_s += 3600
    world.sweep.run_once()
    world.deliver(second)
    world.check()
    assert [life.claim.strategy_id for life in first.lives] == [strategy_id]
    first.heartbeat.beat()
    assert not first.lives[0].control.is_lost


def a_clock_that_jumps_back(world: World, strategy_id: str) -> None:
    """By the database the lease has an hour left; its runner is dead, and it is not forgotten."""
    first, second, _ = world.runners
    world.pass_time(1.0)
    first.is_frozen = True
    world.time.database_off_s -= 3600
    world.pass_time(15.0)
    world.sweep.run_once()
    world.deliver(second)
    assert world.rows.strategy(strategy_id).epoch == 2


def the_same_runner_again(world: World, strategy_id: str) -> None:
    """Its lease ran out and it claimed anew: the older run is not its own any more."""
    first, _, _ = world.runners
    old = first.lives[0]
    first.is_frozen = True
    world.pass_time(16.0)
    world.sweep.run_once()
    first.is_frozen = False
    world.deliver(first)
    first.attend()
    assert not first.report(old).is_ours
    world.check()
    assert world.rows.strategy(strategy_id).status == "running"


@pytest.mark.parametrize(
    "scene",
    [
        a_late_answer,
        a_late_start,
        a_stop_of_a_lost_one,
        an_early_sweep,
        a_clock_that_jumps_forward,
        a_clock_that_jumps_back,
        the_same_runner_again,
    ],
    ids=lambda scene: scene.__name__,
)
def test_what_chance_seldom_finds(sqlite_url: str, redis: Redis, scene: Scene) -> None:
    port = redis.connection_pool.connection_kwargs["port"]
    time = Time()
    with web(sqlite_url, f"redis://127.0.0.1:{port}/0") as one:
        drive_sqlite(one.services.database.engine, time)
        world = World(one, redis, time)
        try:
            strategy_id = world.create()
            world.deliver(world.runners[0])
            scene(world, strategy_id)
            world.settle()
            world.check_history()
        finally:
            world.clear()


def check(url: str, redis: Redis, drive: Callable[[Engine, Time], None], *size: int) -> None:
    examples, steps = size
    port = redis.connection_pool.connection_kwargs["port"]
    time = Time()
    with web(url, f"redis://127.0.0.1:{port}/0") as one:
        drive(one.services.database.engine, time)

        class Bound(Machine):
            def make(self) -> World:
                time.database_off_s = 0.0
                return World(one, redis, time)

        run_state_machine_as_test(
            Bound,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                # What failed is said by its steps; to make them fewer takes minutes.
                phases=[Phase.generate],
                derandomize="MODEL_EXAMPLES" not in os.environ,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_no_strategy_lives_twice_or_is_forgotten(sqlite_url: str, redis: Redis) -> None:
    check(sqlite_url, redis, drive_sqlite, EXAMPLES, 32)


def test_the_same_on_postgresql(postgres_url: str, redis: Redis) -> None:
    check(postgres_url, redis, drive_postgresql, EXAMPLES // 4, 24)
