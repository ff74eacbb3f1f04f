"""The examples that trade, deployed by the command line, run in the real sandbox to their end."""

import json
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .dev_platform import DevPlatform
from .support import ROOT, Api, said, wait_for

EXAMPLES = ROOT / "examples"
ENDS_WITHIN_S = 60.0
Events = list[dict[str, Any]]


@pytest.fixture
def deployed(platform: DevPlatform) -> Iterator[Callable[..., str]]:
    """Deploy and start an example with the sandbox key; its id. Afterwards it is deleted."""
    command_line = platform.command_line(platform.test)
    made: list[str] = []

    def deploy(name: str, *options: str) -> str:
        command_line.run("strategy", "deploy", str(EXAMPLES / name), "--start", *options)
        strategy = tomllib.loads((EXAMPLES / name / "Sequence.toml").read_text())["strategy"]
        rows = {row["name"]: row["strategy_id"] for row in platform.test.rows()}
        made.append(rows[strategy["name"]])
        return made[-1]

    yield deploy
    for strategy_id in made:
        platform.test.delete(strategy_id)


def events(api: Api, strategy_id: str) -> Events:
    """What the program's latest run logged, in order."""
    return [json.loads(line) for line in said(api.lines(strategy_id)) if line.startswith("{")]


def completed(api: Api, strategy_id: str) -> Events:
    """Wait for the end, which has to be a clean one; what was logged until then."""

    def look() -> dict[str, Any] | None:
        row = api.row(strategy_id)
        has_ended = row["status"] == "failed" or row["desired_state"] == "stopped"
        return row if has_ended and row["status"] != "running" else None

    row = wait_for("the program's end", look, ENDS_WITHIN_S)
    assert (row["status"], row["status_reason"]) == ("stopped", "completed"), api.lines(strategy_id)
    assert (row["exit_code"], row["restart_count"]) == (0, 0)
    return events(api, strategy_id)


def of(logged: Events, event: str) -> Events:
    """The records of one kind."""
    return [one for one in logged if one["event"] == event]


def test_the_documented_way_from_the_first_line_to_the_last(
    platform: DevPlatform, deployed: Callable[..., str]
) -> None:
    options = ("--env", "REST_SECS=0.5", "--env", "STREAM_MESSAGES=2")
    logged = completed(platform.test, deployed("prediction", *options))
    assert [one["n"] for one in of(logged, "discover_count")] == [150, 150]
    assert of(logged, "ws_msg"), logged
    assert {one["label"] for one in of(logged, "book_summary")} == {"kalshi", "polymarket"}
    assert [one["status"] for one in of(logged, "graph_status")] == ["active", "active"]
    assert len(of(logged, "graph_cancelled")) == 2
    assert logged[-1]["event"] == "done"
    assert logged[-1]["graphs_submitted"] == 2
    spent = sum(one["qty"] * one["limit_price"] for one in of(logged, "graph_submit_intent"))
    assert spent < 1


def test_a_tick_through_the_ask_fills_and_is_found_by_its_order_id(
    platform: DevPlatform, deployed: Callable[..., str]
) -> None:
    logged = completed(platform.test, deployed("crossing"))
    (filled,) = of(logged, "filled")
    assert filled["qty"] == of(logged, "submitted")[-1]["qty"]


def test_two_legs_are_bought_at_once_and_sold_in_turn(
    platform: DevPlatform, deployed: Callable[..., str]
) -> None:
    logged = completed(platform.test, deployed("two-legs"))
    assert [one["event"] for one in logged] == ["bought", "sold", "done"]


class TestDipBuyer:
    """The quick start."""

    def test_it_waits_until_it_is_stopped(
        self, platform: DevPlatform, deployed: Callable[..., str]
    ) -> None:
        api, strategy_id = platform.test, deployed("dip-buyer", "--env", "BUY_BELOW_USD=1")
        wait_for("a look", lambda: of(events(api, strategy_id), "looked"), 20.0)
        row = api.stopped(strategy_id)
        assert (row["status"], row["status_reason"]) == ("stopped", "stopped_by_user")
        assert of(events(api, strategy_id), "bought") == []

    def test_it_buys_a_dip_once(self, platform: DevPlatform, deployed: Callable[..., str]) -> None:
        # Prices of several venues cross at times, and then there is no mid: it looks again soon.
        options = ("--env", "BUY_BELOW_USD=1000000", "--env", "LOOK_EVERY_SECS=0.2")
        logged = completed(platform.test, deployed("dip-buyer", *options))
        assert len(of(logged, "bought")) == 1
