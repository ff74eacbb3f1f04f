"""A runner's metrics, over HTTP, from real runs."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from support.runner import station
from support.tools import free_port
from support.waiting import wait_until

from tasks.metrics_server import MetricsPortError, MetricsServer

TOKEN = "a-token-that-nobody-guesses"


def fetch(port: int, token: str = "", path: str = "/metrics") -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def sample(text: str, name: str, **labels: str) -> float:
    return sum(
        one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name and one.labels == labels
    )


def test_a_runner_counts_what_it_does(sqlite_url: str, redis_url: str) -> None:
    port = free_port()
    own = {"RUNNER_METRICS_PORT": port, "METRICS_TOKEN": TOKEN, "RUNNER_UPLINK": "none"}
    with station(sqlite_url, redis_url, **own) as place:
        place.open()
        before = fetch(port, TOKEN)[1]
        assert fetch(port)[0] == fetch(port, "wrong")[0] == 401
        assert fetch(port, TOKEN, "/")[0] == 404

        def grown(name: str, **labels: str) -> float:
            after = fetch(port, TOKEN)[1]
            return sample(after, name, **labels) - sample(before, name, **labels)

        place.start("raise SystemExit(3)")
        refused = place.start("pass", network={"mode": "internet"}, restart={"policy": "never"})
        place.wait_for(refused, "failed", "network_refused")
        wait_until(
            lambda: grown("sequence_restarts_total", reason="exit_nonzero"), "a restart is counted"
        )
        assert grown("sequence_runs_ended_total", reason="exit_nonzero") >= 1
        assert grown("sequence_runs_ended_total", reason="network_refused") == 1
        assert grown("sequence_start_seconds_count") >= 1
        assert grown("sequence_sandbox_refusals_total", cause="network") == 1


def test_a_port_that_is_taken_is_said_with_the_remedy() -> None:
    port = free_port()
    server = MetricsServer(CollectorRegistry(), "127.0.0.1", port, "")
    try:
        with pytest.raises(MetricsPortError, match="RUNNER_METRICS_PORT"):
            MetricsServer(CollectorRegistry(), "127.0.0.1", port, "")
        assert fetch(port) == (200, "")
    finally:
        server.close()
