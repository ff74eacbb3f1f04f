"""A trader's day on the command line."""

import json
import os
import shutil
import signal
from pathlib import Path

from .dev_platform import DevPlatform
from .processes import of_strategy
from .support import ROOT, CommandLine, said

HEARTBEAT = ROOT / "examples" / "heartbeat"

GREETER = """
import os, signal, sys, threading
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
print("hello from", os.environ["SEQUENCE_RUN_EPOCH"])
ended.wait()
print("goodbye")
"""

WAITS_AT_FIRST = """
import os, time
print("epoch", os.environ["SEQUENCE_RUN_EPOCH"])
if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
    time.sleep(60)
"""


def project(folder: Path, name: str, program: str, *more: str) -> Path:
    """A project folder with one program; `more` are lines of its Sequence.toml."""
    folder.mkdir()
    (folder / "main.py").write_text(program)
    lines = ["[strategy]", f'name = "{name}"', "[hosted]", 'entrypoint = "main.py"', *more]
    (folder / "Sequence.toml").write_text("\n".join(lines))
    return folder


def test_version_and_login(platform: DevPlatform, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    name, version = cli.run("--version").split()
    assert name == "sequence"
    assert tuple(map(int, version.split(".")[:2])) >= (0, 4)
    assert "sequence login" in cli.run("strategy", "list", exit_code=1)
    url = platform.facts["api_url"]
    wrong = cli.run("login", typed=f"{url}\nseq_live_{'0' * 64}\n", exit_code=1)
    assert "not known here" in wrong
    assert not (tmp_path / ".sequence").exists()
    said_at_login = cli.run("login", typed=f"{url}\n{platform.facts['test_api_key']}\n")
    config = tmp_path / ".sequence" / "config.toml"
    assert str(config) in said_at_login
    assert platform.facts["test_api_key"] not in said_at_login
    assert config.stat().st_mode & 0o077 == 0
    assert json.loads(cli.run("strategy", "list", "--json")) == {"strategies": []}


def test_versions_keys_and_the_account(cli: CommandLine, tmp_path: Path) -> None:
    folder = project(tmp_path / "settings", "settings", "print('hello')")
    cli.run("strategy", "deploy", str(folder), "--env", "LEVEL=info")
    changed = ("--env", "LEVEL=debug", "--memory", "64", "--secret", "TOKEN")
    assert "at version 2" in cli.run("strategy", "set", "settings", *changed, typed="hunter2\n")
    assert "at version 3" in cli.run("strategy", "rollback", "settings")
    table = cli.run("strategy", "versions", "settings").splitlines()
    assert [line.split()[0] for line in table] == ["VERSION", "3", "2", "1"]
    assert "rolled back to 1" in table[1]
    row = json.loads(cli.run("strategy", "status", "settings", "--json"))["strategy"]
    assert (row["env"], row["resources"]["memory_mb"]) == ({"LEVEL": "info"}, 512)
    key = cli.run("keys", "create", "--label", "of-a-test", "--scope", "read").strip()
    assert key not in cli.run("keys", "list")
    assert "needs a key with the scope admin" in cli.run(
        "keys", "list", "--api-key", key, exit_code=1
    )
    cli.run("keys", "revoke", "of-a-test", "--yes")
    assert "it was revoked" in cli.run("account", "--api-key", key, exit_code=1)
    assert json.loads(cli.run("account", "--json"))["account"]["quotas"]["strategies"]["used"] >= 1
    cli.run("strategy", "delete", "settings", "--yes")


def test_heartbeat_crashes_comes_back_and_ends(cli: CommandLine, platform: DevPlatform) -> None:
    deploy = ["strategy", "deploy", str(HEARTBEAT), "--start", "--json"]
    beats = ["--env", "HEARTBEAT_BEATS=3", "--env", "HEARTBEAT_INTERVAL_MS=50"]
    deployed = json.loads(cli.run(*deploy, *beats))["strategy"]
    assert deployed["name"] == "heartbeat"
    cli.run("strategy", "logs", "heartbeat", "--follow")
    history = platform.live.history(deployed["strategy_id"])
    events = [json.loads(line) for line in said(history)]
    assert [event["epoch"] for event in events if event["event"] == "started"] == [1, 2]
    assert [event["ok"] for event in events if event["event"] == "health"] == [True, True]
    assert [event["n"] for event in events if event["event"] == "beat"] == [1, 2, 3]
    assert events[-1]["event"] == "done"
    errors = [record["line"] for record in history if record["stream"] == "stderr"]
    assert errors[-1].startswith("RuntimeError: crashing on the first run")
    system = [record["line"] for record in history if record["stream"] == "system"]
    assert "exit code 1" in system[1]
    assert "restarts now" in system[1]
    status = json.loads(cli.run("strategy", "status", "heartbeat", "--json"))["strategy"]
    assert (status["status"], status["status_reason"]) == ("stopped", "completed")
    assert (status["restart_count"], status["exit_code"]) == (1, 0)
    cli.run("strategy", "delete", "heartbeat", "--yes")


def test_following_goes_on_across_a_crash(
    cli: CommandLine, platform: DevPlatform, tmp_path: Path
) -> None:
    """The crash comes from outside, and only once the follower is known to be there."""
    folder = project(tmp_path / "killed", "killed", WAITS_AT_FIRST)
    row = json.loads(cli.run("strategy", "deploy", str(folder), "--start", "--json"))["strategy"]
    platform.live.wait_line(row["strategy_id"], "epoch 1")
    with cli.begin("strategy", "logs", "killed", "--follow", "--json") as follower:
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline()) for _ in range(2)]
        (program,) = of_strategy(row["strategy_id"])
        os.kill(program.pid, signal.SIGKILL)
        stdout, stderr = follower.communicate(timeout=30)
    seen += [json.loads(line) for line in stdout.splitlines()]
    assert said(seen) == ["epoch 1", "epoch 2"]
    assert len({record["run_id"] for record in seen}) == 2
    system = [record["line"] for record in seen if record["stream"] == "system"]
    assert "SIGKILL" in system[1]
    assert "completed" in stderr
    assert follower.returncode == 0
    cli.run("strategy", "delete", "killed", "--yes")


def test_a_life_by_name_and_by_id(cli: CommandLine, platform: DevPlatform, tmp_path: Path) -> None:
    folder = project(tmp_path / "greeter", "greeter", GREETER)
    deployed = cli.run("strategy", "deploy", str(folder))
    assert "deployed greeter" in deployed
    assert "status   stopped" in deployed
    row = json.loads(cli.run("strategy", "status", "greeter", "--json"))["strategy"]
    strategy_id = row["strategy_id"]
    assert row["status_reason"] == "created"
    assert "greeter" in cli.run("strategy", "list")

    cli.run("strategy", "start", strategy_id)
    platform.live.wait_line(strategy_id, "hello from 1")
    assert "hello from 1" in cli.run("strategy", "logs", "greeter").splitlines()
    records = map(json.loads, cli.run("strategy", "logs", strategy_id, "--json").splitlines())
    assert "hello from 1" in [record["line"] for record in records]
    first = json.loads(cli.run("strategy", "status", strategy_id, "--json"))["strategy"]
    assert first["status"] == "running"
    assert "status" in cli.run("strategy", "status", "greeter")

    cli.run("strategy", "restart", "greeter")
    platform.live.wait_line(strategy_id, "hello from 2")
    assert "goodbye" in cli.run("strategy", "logs", "greeter", "--run", first["run_id"])
    assert "greeter is stopped" in cli.run("strategy", "stop", "greeter", "--wait")
    assert "--yes" in cli.run("strategy", "delete", "greeter", exit_code=1)
    cli.run("strategy", "delete", "greeter", "--yes")
    assert "greeter" in cli.run("strategy", "status", "greeter", exit_code=1)


def test_following_ends_with_a_stop_and_status_zero(
    cli: CommandLine, platform: DevPlatform, tmp_path: Path
) -> None:
    folder = project(tmp_path / "followed", "followed", GREETER)
    row = json.loads(cli.run("strategy", "deploy", str(folder), "--start", "--json"))["strategy"]
    with cli.begin("strategy", "logs", "followed", "--follow") as follower:
        platform.live.wait_line(row["strategy_id"], "hello")
        cli.run("strategy", "stop", "followed")
        stdout, stderr = follower.communicate(timeout=30)
    assert stdout.splitlines() == ["hello from 1", "goodbye"]
    assert "stopped_by_user" in stderr
    assert follower.returncode == 0
    cli.run("strategy", "delete", "followed", "--yes")


def test_following_a_time_out_fails(cli: CommandLine, tmp_path: Path) -> None:
    folder = project(tmp_path / "slow", "slow", "import time\ntime.sleep(60)\n")
    cli.run("strategy", "deploy", str(folder), "--start", "--timeout-secs", "1")
    assert "timeout" in cli.run("strategy", "logs", "slow", "--follow", exit_code=143)
    cli.run("strategy", "delete", "slow", "--yes")


def test_the_same_tree_is_the_same_artifact(cli: CommandLine, tmp_path: Path) -> None:
    shas = set()
    for place, verb in (("here", "deploy"), ("there", "push")):
        folder = shutil.copytree(HEARTBEAT, tmp_path / place, copy_function=shutil.copyfile)
        (folder / ".git").mkdir()
        (folder / ".git" / "HEAD").write_text(place)
        row = json.loads(cli.run("strategy", verb, str(folder), "--name", place, "--json"))
        shas.add(row["strategy"]["artifact_sha256"])
        cli.run("strategy", "delete", place, "--yes")
    assert len(shas) == 1
