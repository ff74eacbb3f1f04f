"""``strategy set``, ``versions`` and ``rollback``."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from cli_api_server import STRATEGY_ID, Answer, LocalApi, one_strategy

ONE = f"/v1/strategies/{STRATEGY_ID}"
SET = ("strategy", "set", STRATEGY_ID)


@pytest.fixture
def changed(api: LocalApi) -> LocalApi:
    """A strategy at version 3 that a change brings to version 4."""
    api.answer("GET", ONE, one_strategy(version=3))
    api.answer("PATCH", ONE, one_strategy(version=4, status="queued"))
    return api


def version_row(number: int, origin: str = "create", source: int | None = None) -> dict[str, Any]:
    return {
        "version": number,
        "origin": origin,
        "source_version": source,
        "actor": "key:5f0c",
        "created_at": 1777414125,
        "artifact_sha256": "8d4c06fd9322df3e28",
        "size_bytes": 20334,
    }


def sent(api: LocalApi) -> Any:
    [request] = api.calls("PATCH")
    return request.json()


@pytest.mark.parametrize(
    ("options", "patch"),
    [
        (["--env", "A=1", "--env", "B=x=y"], {"env": {"A": "1", "B": "x=y"}}),
        (["--env", "A=", "--unset", "B"], {"env": {"A": "", "B": None}}),
        (["--memory", "64", "--cpu", "100"], {"resources": {"memory_mb": 64, "cpu_millis": 100}}),
        (["--timeout-secs", "0"], {"resources": {"timeout_secs": 0}}),
        (["--restart", "never"], {"restart": {"policy": "never"}}),
        (["--latency-target", "kalshi"], {"placement": {"latency_target": ["kalshi"]}}),
        (["--set", "stop.grace_secs=2.5"], {"stop": {"grace_secs": 2.5}}),
        (["--set", "schedule.cron=*/5 * * * *"], {"schedule": {"cron": "*/5 * * * *"}}),
        (["--set", 'network.allow=["a.com"]'], {"network": {"allow": ["a.com"]}}),
        (["--set", "network.allow=a.com"], {"network": {"allow": ["a.com"]}}),
        (["--unset", "schedule.timezone"], {"schedule": {"timezone": None}}),
        (["--unset", "schedule.*"], {"schedule": None}),
        (["--unset-secret", "TOKEN"], {"secrets": {"TOKEN": None}}),
    ],
    ids=str,
)
def test_options_become_a_merge_patch(
    changed: LocalApi, run: Any, options: list[str], patch: Any
) -> None:
    result = run(*SET, *options)
    assert (result.status, sent(changed)) == (0, patch)
    assert result.out.splitlines()[0] == f"heartbeat is at version 4: changed {', '.join(patch)}"


def test_secrets_come_from_everywhere_but_the_command_line(
    changed: LocalApi, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"FROM_FILE": "one"}')
    monkeypatch.setenv("FROM_ENV", "two")
    monkeypatch.setattr("sys.stdin", io.StringIO("three with blanks \nfour\n"))
    result = run(
        *SET,
        *("--secrets-file", file, "--secret-from-env", "FROM_ENV"),
        *("--secret", "PIPED", "--secret", "PIPED_TOO"),
    )
    assert sent(changed)["secrets"] == {
        "FROM_FILE": "one",
        "FROM_ENV": "two",
        "PIPED": "three with blanks ",
        "PIPED_TOO": "four",
    }
    assert not any(value in result.out + result.err for value in ("one", "two", "three", "four"))


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "nothing to change"),
        (["--env", "A"], 2, "'A' is not KEY=VALUE"),
        (["--env", "1A=x"], 1, "no digit in front"),
        (["--env", "SEQUENCE_X=x"], 1, "set by the platform"),
        (["--env", "A=1", "--unset", "A"], 1, "env.A is to be changed in two ways"),
        (["--memory", "64", "--unset", "resources.*"], 1, "in two ways"),
        (["--restart", "sometimes"], 2, "'sometimes' is not one of"),
        (["--set", "grace_secs=5"], 1, "is not TABLE.KEY of a setting"),
        (["--set", "shedule.cron=x"], 1, "did you mean schedule.cron?"),
        (["--set", "stop.grace_secs=NaN"], 1, "use a finite number"),
        (["--secret", "PIN=hunter2"], 1, "does not belong on the command line"),
        (["--secret-from-env", "NOT_THERE"], 1, "there is no variable NOT_THERE"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_it_is_sent(
    changed: LocalApi, run: Any, options: list[str], status: int, words: str
) -> None:
    result = run(*SET, *options)
    assert (result.status, changed.received) == (status, [])
    assert words in result.err
    assert "hunter2" not in result.err


def test_without_a_terminal_or_a_line_there_is_no_secret(
    changed: LocalApi, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = run(*SET, "--secret", "PIN")
    assert (result.status, changed.received) == (1, [])
    assert "no line of a pipe for PIN" in result.err


def test_a_change_that_changes_nothing_says_so(changed: LocalApi, run: Any) -> None:
    changed.answer("PATCH", ONE, one_strategy(version=3))
    assert run(*SET, "--env", "A=1").out == "heartbeat is so already, at version 3\n"


def test_set_as_json(changed: LocalApi, run: Any) -> None:
    shown = json.loads(run(*SET, "--env", "A=1", "--json").out)
    assert shown["strategy"]["version"] == 4
    assert len(changed.calls("PATCH")) == 1


def test_versions_say_how_each_came_to_be(api: LocalApi, run: Any) -> None:
    rows = [
        version_row(4, "auto_rollback", 2),
        version_row(3, "update"),
        version_row(2, "rollback", 1),
        version_row(1),
    ]
    pages = [{"versions": rows[:2], "next_before": 3}, {"versions": rows[2:], "next_before": None}]
    api.answer("GET", f"{ONE}/versions", *[Answer(page) for page in pages])
    lines = run("strategy", "versions", STRATEGY_ID).out.splitlines()
    assert lines[0].split() == ["VERSION", "CREATED", "HOW", "ARTIFACT", "SIZE", "BY"]
    assert [line.split()[0] for line in lines[1:]] == ["4", "3", "2", "1"]
    told = ["2 came back by itself", "settings changed", "rolled back to 1", "deployed"]
    assert all(words in line for words, line in zip(told, lines[1:], strict=True))


def test_versions_as_json(api: LocalApi, run: Any) -> None:
    page = {"versions": [version_row(1)], "next_before": None}
    api.answer("GET", f"{ONE}/versions", Answer(page))
    shown = json.loads(run("strategy", "versions", STRATEGY_ID, "--json").out)
    assert shown == {"versions": [version_row(1)]}


@pytest.mark.parametrize(("arguments", "wanted"), [(["1"], 1), ([], 2)])
def test_rollback_to_a_version_or_the_one_before(
    api: LocalApi, run: Any, arguments: list[str], wanted: int
) -> None:
    page = {"versions": [version_row(3), version_row(2)], "next_before": None}
    api.answer("GET", f"{ONE}/versions", Answer(page))
    api.answer("POST", f"{ONE}/rollback", one_strategy(version=4))
    result = run("strategy", "rollback", STRATEGY_ID, *arguments)
    assert [call.json() for call in api.calls("POST")] == [{"version": wanted}]
    assert f"heartbeat is at version 4, with what version {wanted} was" in result.out


def test_no_rollback_without_an_earlier_version(api: LocalApi, run: Any) -> None:
    page = {"versions": [version_row(1)], "next_before": None}
    api.answer("GET", f"{ONE}/versions", Answer(page))
    result = run("strategy", "rollback", STRATEGY_ID)
    assert (result.status, api.calls("POST")) == (1, [])
    assert "has no earlier version" in result.err
