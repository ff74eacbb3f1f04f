"""The commands that look at strategies and change their state, and the API's failures."""

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli_api_server import (
    RUN_ID,
    STRATEGY_ID,
    Answer,
    LocalApi,
    error_answer,
    one_strategy,
    strategy_row,
)
from cli_samples import KEY

from app.strategies.states import Reason
from sequence_cli.api.client import ApiClient
from sequence_cli.api.settled import wait_until_settled
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.errors import CliError
from sequence_cli.output.status_words import reason_in_words, restart_in_words, size_in_words

ROOT = Path(__file__).resolve().parents[3]
LIST = "/v1/strategies"
ONE = f"/v1/strategies/{STRATEGY_ID}"


@pytest.fixture
def named(api: LocalApi) -> LocalApi:
    api.answer("GET", LIST, Answer({"strategies": [strategy_row()]}))
    api.answer("GET", ONE, one_strategy())
    return api


def routes(api: LocalApi) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in api.received]


def test_list_is_an_aligned_table(api: LocalApi, run) -> None:
    rows = [
        strategy_row(status="failed", status_reason="crash_loop", restart_count=9),
        strategy_row(name="a-much-longer-name\x1b[2J", latency_target="coinbase"),
    ]
    api.answer("GET", LIST, Answer({"strategies": rows}))
    lines = run("strategy", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "REASON", "TARGET", "RESTARTS", "UPDATED", "ID"]
    assert lines[1].split()[:5] == ["heartbeat", "failed", "crash_loop", "default", "9"]
    assert lines[2].split()[:5] == ["a-much-longer-name\\x1b[2J", "stopped", "-", "coinbase", "0"]
    assert len({line.index(word) for line, word in zip(
        lines, ["STATUS", "failed", "stopped"], strict=True)}) == 1  # fmt: skip


def test_empty_list_has_a_hint(api: LocalApi, run) -> None:
    api.answer("GET", LIST, Answer({"strategies": []}))
    assert "sequence strategy deploy DIR" in run("strategy", "list").out
    assert json.loads(run("strategy", "list", "--json").out) == {"strategies": []}


def test_status_by_name_and_by_id(named: LocalApi, run) -> None:
    row = strategy_row(
        status="failed",
        desired_state="running",
        status_reason="oom",
        exit_code=137,
        restart_count=4,
        next_restart_at=1777414130,
        run_id=RUN_ID,
        env={"LEVEL": "info"},
    )
    named.answer("GET", ONE, Answer({"strategy": row}))
    by_name = run("strategy", "status", "heartbeat")
    assert routes(named) == [("GET", LIST), ("GET", ONE)]
    assert run("strategy", "status", STRATEGY_ID.upper()).out == by_name.out
    assert routes(named)[2:] == [("GET", ONE)]
    pairs = dict(line.split(None, 1) for line in by_name.out.splitlines())
    assert pairs["status"] == "failed"
    assert pairs["reason"].startswith("oom: ran out of memory")
    assert pairs["next"].split() == ["restart", "due", "now"]
    assert pairs["env"] == "LEVEL=info"
    assert json.loads(run("strategy", "status", "heartbeat", "--json").out) == {"strategy": row}


def test_words_for_states() -> None:
    queued = strategy_row(status="queued", latency_target="kalshi")
    assert reason_in_words(queued) == "waits for a runner of target kalshi"
    lost = strategy_row(status="queued", status_reason="runner_lost")
    assert reason_in_words(lost) == (
        "runner_lost: its runner was lost; waits for a runner of target default"
    )
    assert reason_in_words(strategy_row(status_reason="brand_new")) == "brand_new"
    waiting = strategy_row(status="failed", desired_state="running", next_restart_at=1040)
    assert restart_in_words(waiting, now_s=1000.2).startswith("in 40 s, at ")
    given_up = strategy_row(status="failed", status_reason="crash_loop")
    assert "sequence strategy start" in restart_in_words(given_up, now_s=0)
    sizes = [size_in_words(size) for size in (999, 20334, 1_500_000, 2_000_000_000)]
    assert sizes == ["999 B", "20.3 kB", "1.5 MB", "2.0 GB"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason: Reason) -> None:
    assert reason_in_words(strategy_row(status_reason=str(reason))).startswith(f"{reason}: ")


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["heartbeat", "heartbeets", "other"], "did you mean heartbeat or heartbeets?"),
        (["zzz"], "`sequence strategy list` shows those you have"),
        ([], "you have none yet: `sequence strategy deploy DIR`"),
    ],
)
def test_unknown_name(names: list[str], hint: str, api: LocalApi, run) -> None:
    api.answer("GET", LIST, Answer({"strategies": [strategy_row(name=name) for name in names]}))
    for command in ("status", "start", "stop", "restart", "delete", "logs"):
        result = run("strategy", command, "heartbeatt")
        assert result.status == 1
        assert f"there is no strategy 'heartbeatt': {hint}" in result.err


def test_start_and_stop(named: LocalApi, run) -> None:
    named.answer("POST", f"{ONE}/start", one_strategy(status="queued", desired_state="running"))
    named.answer("POST", f"{ONE}/stop", one_strategy(status="running"))
    started = run("strategy", "start", "heartbeat")
    assert started.out.splitlines()[0] == "heartbeat is queued"
    assert "sequence strategy logs heartbeat --follow" in started.out
    assert run("strategy", "stop", "heartbeat").out == "heartbeat is stopping\n"
    assert all(request.body == b"" for request in named.calls("POST"))


def test_stop_waits(named: LocalApi, run) -> None:
    named.answer("POST", f"{ONE}/stop", one_strategy(status="running"))
    running = one_strategy(status="running")
    named.answer("GET", ONE, running, running, one_strategy(status="stopped"))
    assert run("strategy", "stop", "heartbeat", "--wait").out == "heartbeat is stopped\n"


def test_waiting_has_an_end(api: LocalApi) -> None:
    strategies = StrategiesApi(ApiClient(Connection(api.url, KEY)))
    with pytest.raises(CliError, match="has not stopped within -0 s"):
        wait_until_settled(strategies, strategy_row(status="running"), timeout_s=-0.25)
    again = strategy_row(status="running", desired_state="running")
    with pytest.raises(CliError, match="started again by somebody else"):
        wait_until_settled(strategies, again)


@pytest.mark.parametrize(
    ("row", "posts"),
    [
        ({"status": "running", "desired_state": "running"}, ["stop", "start"]),
        ({"status": "failed", "desired_state": "running"}, ["stop", "start"]),
        ({"status": "running", "desired_state": "stopped"}, ["stop", "start"]),
        ({"status": "stopped", "desired_state": "stopped"}, ["start"]),
    ],
)
def test_restart(row: dict, posts: list[str], named: LocalApi, run) -> None:
    named.answer("GET", ONE, one_strategy(**row), one_strategy(status="stopped"))
    named.answer("POST", f"{ONE}/stop", one_strategy(status="running"))
    named.answer("POST", f"{ONE}/start", one_strategy(status="queued", desired_state="running"))
    result = run("strategy", "restart", "heartbeat")
    assert result.status == 0, result.err
    assert result.out.startswith("heartbeat is queued\n")
    assert [request.path.rpartition("/")[2] for request in named.calls("POST")] == posts


def test_delete(named: LocalApi, run) -> None:
    named.answer("DELETE", ONE, Answer({"strategy_id": STRATEGY_ID, "deleted": True}), Answer(b""))
    assert run("strategy", "delete", "heartbeat", "--yes").out == "heartbeat is deleted\n"
    assert run("strategy", "delete", "heartbeat", "--yes").out == "heartbeat is deleted\n"


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_delete_asks_on_a_terminal(answer: str, status: int, named: LocalApi) -> None:
    named.answer("DELETE", ONE, Answer({"strategy_id": STRATEGY_ID, "deleted": True}))
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "sequence_cli.main", "strategy", "delete", "heartbeat"],
        cwd=ROOT,
        stdin=slave,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(slave)
    os.close(master)
    assert done.returncode == status
    assert "Delete heartbeat with its artifact, runs and logs?" in done.stderr
    assert len(named.calls("DELETE")) == (1 if status == 0 else 0)


def test_delete_without_a_terminal(named: LocalApi) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sequence_cli.main", "strategy", "delete", "heartbeat"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pass --yes" in done.stderr
    assert named.calls("DELETE") == []


# --- the API's failures ---


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (
            error_answer(401, "UNAUTHORIZED", "invalid API key"),
            ["error: invalid API key", "request id: req-77", "run `sequence login`"],
        ),
        (error_answer(403, "FORBIDDEN", "not yours"), ["error: not yours"]),
        (error_answer(500, "INTERNAL_ERROR", "broken"), ["error: broken", "req-77"]),
        (error_answer(409, "CONFLICT", "\x1b[2Jcleared"), ["error: \\x1b[2Jcleared"]),
        (Answer(b"<html>Bad gateway", 502), ["answered with HTTP 502", "tell its operator"]),
        (Answer(b"<html>welcome"), ["something that is no JSON object", "SEQUENCE_API_URL"]),
        (Answer([1]), ["something that is no JSON object"]),
        (Answer({"other": 1}), ["the API's answer has no `strategies`"]),
        (Answer(b"", 302, {"Location": "http://other.example/"}), ["redirects elsewhere"]),
        (Answer(b'{"error": "text"}', 418), ["answered with HTTP 418"]),
        (Answer(drop=True), ["broke off", "try again"]),
        (
            Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "3"}),
            ["error: slow down", "try again in 3 s"],
        ),
    ],
)  # fmt: skip
def test_failures_are_clear(answer: Answer, shown: list[str], api: LocalApi, run) -> None:
    api.answer("GET", LIST, answer)
    result = run("strategy", "list")
    assert result.status == 1
    assert result.out == ""
    for text in shown:
        assert text in result.err
    assert len(api.received) == 1


def test_refused_connection(run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = run("strategy", "list", "--api-url", url, "--api-key", KEY)
    assert result.status == 1
    assert result.err == (
        f"error: cannot connect to the API at {url} (Connection refused): is it running? "
        "If so, check --api-url or SEQUENCE_API_URL\n"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70])
def test_unknown_host(host: str, run) -> None:
    url = f"http://{host}"
    result = run("strategy", "list", "--api-url", url, "--api-key", KEY)
    assert f"error: cannot find the host of the API at {url}: check" in result.err


def test_tls_to_a_plain_server(api: LocalApi, run) -> None:
    url = api.url.replace("http", "https")
    result = run("strategy", "list", "--api-url", url)
    assert result.status == 1
    assert f"error: no secure connection to the API at {url}" in result.err
    assert len(result.err.splitlines()) == 1


def test_server_that_never_answers(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_cli.api.client.READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = run("strategy", "list", "--api-url", url, "--api-key", KEY)
    assert result.status == 1
    assert "took too long to answer" in result.err


def test_full_backlog(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_cli.api.client.CONNECT_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}"
        result = run("strategy", "list", "--api-url", url, "--api-key", KEY)
        for sock in waiting:
            sock.close()
    assert result.status == 1
    assert "did not accept a connection in time" in result.err
