"""Exactly one live instance, whatever dies: `make chaos SECONDS=600 SEED=...` for a long one."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from acceptance.support import Row, wait_for
from chaos import verdict
from chaos.faults import Faults
from chaos.parts import Platform
from chaos.program import PROGRAM

SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
LEASE_S = float(os.environ.get("CHAOS_LEASE_SECS", "4"))
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(1 << 32))
STEADY, CRASHING, STOPPED_BY_HAND = 14, 3, 3
SETTLE_WITHIN_S = 60 + 2 * LEASE_S


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path, LEASE_S)
    try:
        made.start()
        yield made
    finally:
        made.close()
    assert made.groups() == []


def asked(ask: Callable[[], Row]) -> Row:
    """The answer of an API that may be away for a while."""

    def once() -> Row | None:
        try:
            return ask()
        except (OSError, AssertionError, ValueError):
            return None

    return wait_for("an answer of the API", once, 60.0) or {}


def deploy(platform: Platform) -> dict[str, str]:
    """Twenty strategies by name, all of them alive; ids."""
    names = [f"steady-{number}" for number in range(STEADY)]
    names += [f"crashing-{number}" for number in range(CRASHING)]
    names += [f"by-hand-{number}" for number in range(STOPPED_BY_HAND)]
    ids = {}
    for name in names:
        env = {"CRASH_AFTER_S": "4"} if name.startswith("crashing") else {}
        resources = {"cpu_millis": 250, "memory_mb": 64}
        row = platform.api.create(name, PROGRAM, env=env, resources=resources)
        ids[name] = row["strategy_id"]
    wait_for("20 live strategies", lambda: all(map(platform.witness.instances, ids.values())), 60)
    return ids


def stop_by_hand(platform: Platform, ids: dict[str, str], until: float) -> None:
    """At moments spread over the run, whatever is away just then."""
    chance = random.Random(SEED)
    mine = [strategy_id for name, strategy_id in ids.items() if name.startswith("by-hand")]
    for strategy_id in mine:
        pause_s = chance.uniform(0, (until - time.monotonic()) / len(mine))
        asleep_until = time.monotonic() + pause_s
        wait_for("its turn", lambda at=asleep_until: time.monotonic() > at, pause_s + 5)
        asked(partial(platform.api.stop, strategy_id))
    wait_for("the end", lambda: time.monotonic() > until, SECONDS + 60)


def settled(platform: Platform, ids: dict[str, str]) -> list[str]:
    """Names of strategies that are not as their owner wants them."""
    rows = {row["strategy_id"]: row for row in asked(lambda: {"all": platform.api.rows()})["all"]}
    wrong = []
    for name, strategy_id in ids.items():
        row = rows[strategy_id]
        epochs = [one.epoch for one in platform.witness.instances(strategy_id)]
        is_alive = platform.witness.is_alive(strategy_id, max(epochs))
        if name.startswith("by-hand"):
            is_right = row["status"] == "stopped" and not is_alive
        elif name.startswith("crashing"):
            # It may be waiting for its restart at this very moment.
            is_right = row["desired_state"] == "running" and row["status"] != "stopped"
        else:
            is_right = row["status"] == "running" and is_alive
        wrong += [] if is_right else [f"{name}: {row['status']} {row['status_reason']}"]
    return wrong


def judge(platform: Platform, faults: Faults, ids: dict[str, str]) -> None:
    rows = verdict.events(platform)
    for name, strategy_id in ids.items():
        instances = platform.witness.instances(strategy_id)
        found = verdict.overlaps(instances) + verdict.illegal(rows[strategy_id])
        if found:
            told = verdict.timeline(platform, faults, strategy_id)
            pytest.fail(f"{name}: {'; '.join(found)}\n{told}\n{where(platform)}", pytrace=False)


def settle(platform: Platform, faults: Faults, ids: dict[str, str]) -> None:
    """Nothing is broken any more: what is wanted runs, what was stopped does not."""
    wrong: list[str] = []

    def look() -> bool:
        wrong[:] = settled(platform, ids)
        return not wrong

    try:
        wait_for("all as wanted", look, SETTLE_WITHIN_S)
    except AssertionError:
        told = [verdict.timeline(platform, faults, ids[one.split(":")[0]]) for one in wrong[:2]]
        listed = "\n".join(map(str, [*wrong, *told]))
        pytest.fail(f"not as wanted:\n{listed}\n{where(platform)}", pytrace=False)


def where(platform: Platform) -> str:
    return f"seed {SEED} (make chaos SEED={SEED}); logs are in {platform.folder}"


def test_exactly_one_live_instance_whatever_dies(platform: Platform) -> None:
    say(f"\nchaos: seed {SEED}, {SECONDS:g} s, lease {LEASE_S:g} s; logs in {platform.folder}")
    ids = deploy(platform)
    faults = Faults(platform, SEED)
    faults.start()
    try:
        stop_by_hand(platform, ids, time.monotonic() + SECONDS)
    finally:
        faults.stop()
    judge(platform, faults, ids)
    settle(platform, faults, ids)
    judge(platform, faults, ids)
    gaps = [gap for one in ids.values() for gap in verdict.gaps_s(platform.witness.instances(one))]
    assert gaps, f"nothing was ever moved: {where(platform)}"
    say(f"{len(faults.told)} lines of faults, {platform.witness.signs} signs of life")
    say(f"{len(gaps)} times nobody lived for a while: {figures(gaps)}")


def say(what: str) -> None:
    """For whoever runs it with -s, and for the report of a failure."""
    sys.stdout.write(f"{what}\n")


def figures(gaps_s: list[float]) -> str:
    """Their spread, in seconds."""
    tenths = " ".join(f"{one:.2f}" for one in statistics.quantiles(gaps_s, n=10))
    return f"deciles {tenths} s, at most {max(gaps_s):.2f} s"
