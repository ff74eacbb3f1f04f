"""What becomes of strategies whose runner has no way to the internet, and of those where it has."""

from __future__ import annotations

from support.runner import Station, station

ASKS = {"mode": "allow", "allow": ["api.kalshi.com:443"]}


def network_of(place: Station, strategy_id: str) -> dict[str, object]:
    (run,) = place.rows.runs(strategy_id)
    assert run.isolation is not None
    return dict(run.isolation["network"])


def test_a_runner_without_uplink_serves_those_who_ask_for_nothing(
    sqlite_url: str, redis_url: str
) -> None:
    with station(sqlite_url, redis_url, RUNNER_UPLINK="none") as place:
        place.open()
        quiet = place.start("print('runs')")
        asking = place.start("print('never')", network=ASKS)
        place.wait_for(quiet, "stopped", "completed")
        place.wait_for_run(quiet, 1, "completed")
        assert network_of(place, quiet)["mode"] == "none"
        row = place.wait_for(asking, "failed", "network_refused")
        assert (row["desired_state"], row["next_restart_at"]) == ("stopped", None)
        place.wait_for_run(asking, 1, "network_refused")
        said = place.lines(asking)[-1][1]
        assert said.startswith("the run could not start: network mode 'allow' needs the internet")
        assert "its operator can set RUNNER_UPLINK=user" in said


def test_without_a_policy_the_uplink_is_for_everyone(sqlite_url: str, redis_url: str) -> None:
    """By `auto`, which as root is the user-mode uplink."""
    with station(sqlite_url, redis_url) as place:
        place.open()
        open_one = place.start("print('runs')")
        closed = place.start("print('runs')", network={"mode": "none"})
        for strategy_id, mode, uplink in ((open_one, "internet", "user"), (closed, "none", "none")):
            place.wait_for_run(strategy_id, 1, "completed")
            recorded = {"mode": mode, "allow": [], "api": True, "uplink": uplink}
            assert network_of(place, strategy_id) == recorded
