"""Following a log by plain server-sent events."""

import time

from .conftest import on_both_databases
from .support import Api, Event

pytestmark = on_both_databases

COUNTS = """
import os, sys, time
epoch = os.environ["SEQUENCE_RUN_EPOCH"]
for number in range(300):
    print(epoch, number)
    if number % 20 == 0:
        time.sleep(0.02)
sys.exit(0 if epoch == "2" else 5)
"""
WAITS_FOR_ITS_OWNER = "print('here')\nprint('there')\n"


def test_cut_again_and_again_a_reader_misses_and_repeats_nothing(api: Api) -> None:
    strategy_id = api.create("counts", COUNTS)["strategy_id"]
    events: list[Event] = []
    connections = 0
    while not events or events[-1].kind != "end":
        connections += 1
        with api.follow(strategy_id, events[-1].id if events else None) as follow:
            for count, event in enumerate(follow.events()):
                events.append(event)
                if count == 96:
                    break
    assert connections >= 6
    logged = [event for event in events if event.kind == "log"]
    said = [event.data["line"] for event in logged if event.data["stream"] == "stdout"]
    assert said == [f"{epoch} {number}" for epoch in (1, 2) for number in range(300)]
    for epoch in ("1", "2"):
        ids = [event.id for event in logged if str(event.id).startswith(f"{epoch}-")]
        assert ids == [f"{epoch}-{number}" for number in range(1, len(ids) + 1)]
    assert all(event.data["id"] == event.id for event in logged)
    end = events[-1].data
    assert (end["status"], end["status_reason"], end["exit_code"]) == ("stopped", "completed", 0)
    api.delete(strategy_id)


def test_following_waits_for_one_that_has_not_started_yet(api: Api) -> None:
    strategy_id = api.create("later", WAITS_FOR_ITS_OWNER, start=False)["strategy_id"]
    with api.follow(strategy_id) as follow:
        api.start(strategy_id)
        events = list(follow.events())
    assert [e.data["line"] for e in events if e.data.get("stream") == "stdout"] == ["here", "there"]
    assert events[-1].kind == "end"
    api.delete(strategy_id)


def test_following_one_that_has_ended_ends(api: Api) -> None:
    strategy_id = api.create("over", WAITS_FOR_ITS_OWNER)["strategy_id"]
    api.wait(strategy_id, status="stopped")
    with api.follow(strategy_id) as follow:
        events = list(follow.events())
    assert [event.kind for event in events[-2:]] == ["log", "end"]
    last_id = events[-2].id
    with api.follow(strategy_id, last_id) as follow:
        assert [event.kind for event in follow.events()] == ["end"]
    api.delete(strategy_id)


def test_a_line_reaches_its_reader_at_once(api: Api) -> None:
    """Times are of one clock: the program writes its own into each line."""
    program = "import time\nfor _ in range(20):\n    print(time.time())\n    time.sleep(0.05)\n"
    strategy_id = api.create("prompt", program, start=False)["strategy_id"]
    with api.follow(strategy_id) as follow:
        api.start(strategy_id)
        delays_s = [
            time.time() - float(event.data["line"])
            for event in follow.events()
            if event.data.get("stream") == "stdout"
        ]
    assert sorted(delays_s)[len(delays_s) // 2] < 0.1, delays_s
    api.delete(strategy_id)
