"""`sequence dev` as its user meets it: its one line, its refusals, its ends."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.tools import free_port

from .dev_platform import DevPlatform
from .processes import of_platform
from .programs import lives, witness
from .support import SEQUENCE, clean_environ, wait_for

KEYS = ["api_url", "api_key", "test_api_key", "redis_url", "database_url", "pids"]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[DevPlatform]:
    """A platform of one test, for it to end as it likes."""
    platform = DevPlatform(tmp_path)
    yield platform
    platform.close()


def refused(folder: Path, *arguments: str, **environ: str) -> list[str]:
    """The lines that `sequence dev` says when it does not start."""
    done = subprocess.run(
        [SEQUENCE, "dev", "--json", *arguments],
        env=clean_environ(folder) | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_one_line_with_the_documented_keys(platform: DevPlatform) -> None:
    (line,) = platform.stdout.splitlines()
    facts = json.loads(line)
    assert list(facts) == KEYS
    assert list(facts["pids"]) == ["web", "runner", "scheduler", "market", "redis"]
    assert facts["pids"] == platform.pids()
    assert facts["api_url"] == f"http://127.0.0.1:{platform.port}"
    assert facts["api_key"].startswith("seq_live_")
    assert facts["test_api_key"].startswith("seq_test_")
    assert facts["database_url"].startswith(f"sqlite:///{platform.data_dir}/")
    assert facts["redis_url"].startswith("redis://:")
    assert platform.is_ready()


def test_only_the_runner_holds_the_private_key(platform: DevPlatform) -> None:
    alive = of_platform(str(platform.data_dir), platform.runner_name)
    assert {process.pid for process in alive} >= set(platform.facts["pids"].values())
    key = b"CREDENTIAL_ENCRYPTION_KEY="
    assert [p.pid for p in alive if key in p.environ] == [platform.facts["pids"]["runner"]]


def test_keys_and_strategies_outlive_every_kind_of_end(mortal: DevPlatform) -> None:
    mortal.start()
    facts = mortal.facts
    strategy_id = mortal.live.create("stays", witness())["strategy_id"]
    mortal.live.wait_line(strategy_id, "{")
    assert mortal.end(signal.SIGTERM) == 0
    assert mortal.remains() == []

    mortal.start()
    assert {key: mortal.facts[key] for key in KEYS[:3]} == {key: facts[key] for key in KEYS[:3]}
    mortal.live.wait_line(strategy_id, '{"epoch": 2')
    assert mortal.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for("the end of everything", lambda: not mortal.remains(), 20)

    mortal.start()
    mortal.live.wait_line(strategy_id, '{"epoch": 3')
    assert mortal.live.row(strategy_id)["restart_count"] == 0, "no fault of the strategy"
    mortal.live.stopped(strategy_id)
    assert [epoch for epoch, _, _ in lives(mortal.live.history(strategy_id))] == [1, 2, 3]
    assert mortal.end(signal.SIGINT) == 0
    assert mortal.remains() == []


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (line,) = refused(tmp_path, "--port", str(port), "--data-dir", "data")
    assert line.startswith(f"error: port {port} ")
    assert "--port" in line


def test_a_second_one_on_the_same_folder(platform: DevPlatform, tmp_path: Path) -> None:
    arguments = ["--port", str(free_port()), "--data-dir", str(platform.data_dir)]
    (line,) = refused(tmp_path, *arguments)
    assert str(platform.data_dir) in line
    assert "--data-dir" in line
    assert platform.is_ready()


def test_a_missing_tool(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bwrap", "nsenter", "setpriv", "sh", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (line,) = refused(tmp_path, "--port", str(free_port()), PATH=str(tools))
    assert line.startswith("error: not installed: redis-server;")
    assert "apt-get install" in line
    assert not (tmp_path / ".sequence").exists()


def test_a_bad_setting(tmp_path: Path) -> None:
    bad = {"LEASE_SECS": "1", "WEB_CONCURRENCY": "many"}
    first, *more = refused(tmp_path, "--port", str(free_port()), **bad)
    assert first.startswith("error: ")
    assert "the environment is not usable" in first
    assert [line for line in more if "LEASE_SECS must be between 2 and 300" in line]
    assert [line for line in more if "WEB_CONCURRENCY must be a whole number" in line]
