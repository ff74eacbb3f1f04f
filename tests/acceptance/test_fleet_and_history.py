"""What a user reads of runners, of what waits, and of what has happened."""

import json

from .conftest import NOWHERE
from .support import Api, CommandLine, wait_for

EATS = "print('hungry', flush=True)\nheld = []\nwhile True: held.append(bytearray(1 << 20))\n"
WAITS = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"


def test_why_an_ending_that_ran_out_of_memory(api: Api, cli: CommandLine) -> None:
    row = api.create("gluttony", EATS, resources={"memory_mb": 48}, restart={"max_restarts": 1})
    api.wait(row["strategy_id"], status="failed", status_reason="max_restarts")
    told = cli.run("strategy", "why", "gluttony")
    assert "It ran out of memory: it was killed at its limit of 48 MB." in told
    assert "memory_mb = 128" in told
    assert "1 killed for memory" in told
    first = json.loads(cli.run("strategy", "why", "gluttony", "1", "--json"))
    assert (first["run"]["reason"], first["memory_mb_to_try"]) == ("oom", 128)
    assert len(cli.run("strategy", "runs", "gluttony").splitlines()) == 3
    events = json.loads(cli.run("strategy", "events", "gluttony", "--json"))["events"]
    kinds = [event["event"] for event in reversed(events)]
    assert kinds == ["start", "claim", "fail", "restart_due", "claim", "fail"]
    assert [event["actor"].partition(":")[0] for event in events][-1] == "key"
    api.delete(row["strategy_id"])


def test_what_waits_says_for_what(api: Api, cli: CommandLine) -> None:
    placement = {"latency_target": [NOWHERE]}
    strategy_id = api.create("stranded", WAITS, placement=placement)["strategy_id"]
    api.wait(strategy_id, status="queued", status_reason="no_runner")
    shown = cli.run("strategy", "status", "stranded")
    assert f"no_runner: no live runner serves '{NOWHERE}'; live runners serve coinbase" in shown
    assert "stranded never ran: it is queued" in cli.run("strategy", "why", "stranded")
    api.delete(strategy_id)


def test_the_runners_and_their_load(api: Api, cli: CommandLine) -> None:
    size = {"memory_mb": 96, "cpu_millis": 300}
    strategy_id = api.create("load", WAITS, resources=size)["strategy_id"]

    def loaded() -> bool:
        (runner,) = json.loads(cli.run("runners", "--json"))["runners"]
        used = runner["used_cpu_millis"] >= 300 and runner["used_memory_mb"] >= 96
        return bool(runner["is_live"] and used)

    wait_for("the runner's load", loaded)
    assert " live " in cli.run("runners")
    assert "kalshi" in cli.run("runners")
    api.stop(strategy_id)
    api.delete(strategy_id)
