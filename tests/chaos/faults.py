"""What befalls the parts: at random, from a seed, and undone again after a while."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable

from chaos.parts import RUNNERS, Part, Platform

Fault = tuple[str, Callable[[], None], Callable[[], None]]


class Faults:
    """One thread for each part; what it does and for how long comes from the seed alone."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self.told: list[tuple[float, str]] = []
        self._platform = platform
        self._over = threading.Event()
        lease_s = platform.lease_s
        # It opens with the one fault that only the guard can make good: a runner that holds
        # strategies stands still, while who takes them over is left alone for two leases.
        calm_s = 2 * lease_s
        frozen, other = RUNNERS
        parts = [
            (frozen, self._of_runner(frozen, opens=True), 1.5 * lease_s, -lease_s),
            (other, self._of_runner(other), 1.5 * lease_s, calm_s),
            ("web", self._of_web, 6.0, 0.0),
            ("scheduler", self._of_scheduler, 6.0, calm_s),
            ("redis", self._of_redis, 12.0, 0.0),
            ("postgres", self._of_postgres, 12.0, calm_s),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(*part, random.Random(f"{seed} {part[0]}")))
            for part in parts
        ]

    def start(self) -> None:
        """From now on nothing is safe."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Undo what is under way, and leave everything alone."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(
        self,
        part: str,
        choose: Callable[[random.Random], tuple[Fault, float]],
        pause_s: float,
        calm_s: float,
        chance: random.Random,
    ) -> None:
        while not self._over.wait(max(0.0, calm_s + chance.uniform(0.5, 1.5) * pause_s)):
            calm_s = 0.0
            (what, do, undo), for_s = choose(chance)
            self._tell(f"{part}: {what}" + (f" for {for_s:.1f} s" if for_s else ""))
            do()
            self._over.wait(for_s)
            undo()
            if for_s:
                self._tell(f"{part}: {what} is over")

    def _of_runner(
        self, name: str, *, opens: bool = False
    ) -> Callable[[random.Random], tuple[Fault, float]]:
        first = iter([_frozen(self._platform.parts[name])] if opens else [])
        part, lease_s = self._platform.parts[name], self._platform.lease_s
        wires = [self._platform.wires[name, what] for what in ("postgres", "redis")]

        def cut(chosen: list[int]) -> Fault:
            names = " and ".join(("postgres", "redis")[one] for one in chosen)

            def do() -> None:
                for one in chosen:
                    wires[one].cut()

            def undo() -> None:
                for one in chosen:
                    wires[one].mend()

            return (f"cut off from {names}", do, undo)

        def choose(chance: random.Random) -> tuple[Fault, float]:
            if opening := next(first, None):
                return opening, chance.uniform(1.5, 1.8) * lease_s
            long_s = chance.uniform(0.2, 1.8) * lease_s
            return chance.choice(
                [
                    (_sent(part, signal.SIGKILL), 0.0),
                    (_sent(part, signal.SIGTERM), 0.0),
                    (_frozen(part), long_s),
                    (_frozen(part), chance.uniform(1.1, 1.8) * lease_s),
                    (cut([0]), long_s),
                    (cut([1]), long_s),
                    (cut([0, 1]), chance.uniform(1.1, 1.8) * lease_s),
                    (_helper_killed(part, "sandbox.guard"), lease_s / 2),
                    (_helper_killed(part, "sandbox.netd"), lease_s / 2),
                ]
            )

        return choose

    def _of_web(self, chance: random.Random) -> tuple[Fault, float]:
        part = self._platform.parts["web"]
        frozen = (_frozen(part), chance.uniform(0.5, 3.0))
        return chance.choice([(_sent(part, signal.SIGKILL), 0.0), frozen])

    def _of_scheduler(self, chance: random.Random) -> tuple[Fault, float]:
        part = self._platform.parts["scheduler"]
        frozen = (_frozen(part), chance.uniform(0.5, 4.0))
        killed = (_sent(part, signal.SIGKILL), 0.0)
        return chance.choice([killed, (_sent(part, signal.SIGTERM), 0.0), frozen])

    def _of_redis(self, chance: random.Random) -> tuple[Fault, float]:
        redis = self._platform.redis
        away: Fault = (
            "killed, its data lost",
            redis.kill,
            lambda: self._platform.lasting(redis.start),
        )
        flush: Fault = ("flushed", redis.flush, _nothing)
        frozen: Fault = ("frozen", redis.freeze, redis.thaw)
        for_s = chance.uniform(0.2, 4.0)
        return chance.choice([(away, for_s), (flush, 0.0), (frozen, for_s)])

    def _of_postgres(self, chance: random.Random) -> tuple[Fault, float]:
        postgres = self._platform.postgres
        frozen: Fault = ("frozen", postgres.freeze, postgres.thaw)
        cut: Fault = ("every connection cut", postgres.cut_connections, _nothing)
        again: Fault = (
            "crashed and started again",
            lambda: self._platform.lasting(postgres.restart),
            _nothing,
        )
        return chance.choice([(frozen, chance.uniform(0.5, 4.0)), (cut, 0.0), (again, 0.0)])

    def _tell(self, what: str) -> None:
        self.told.append((time.monotonic(), what))


def _nothing() -> None:
    """What is done cannot be undone."""


def _sent(part: Part, number: signal.Signals) -> Fault:
    return (number.name, lambda: part.signal(number), _nothing)


def _frozen(part: Part) -> Fault:
    return ("frozen", lambda: part.signal(signal.SIGSTOP), lambda: part.signal(signal.SIGCONT))


def _helper_killed(part: Part, module: str) -> Fault:
    def kill() -> None:
        for pid in part.children(module):
            os.kill(pid, signal.SIGKILL)

    return (f"its {module} killed", kill, _nothing)
