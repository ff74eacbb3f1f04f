"""``examples/heartbeat`` runs as the platform would run it, and deploys."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_api_server import RUN_ID, Answer, LocalApi, local_api
from cli_samples import KEY

from sequence_cli.project.deployment import Overrides, prepare_deployment

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "heartbeat"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def server() -> Iterator[LocalApi]:
    with local_api() as api:
        api.answer("GET", "/v1/health/live", Answer({"status": "ok"}))
        yield api


@pytest.fixture
def start(server: LocalApi, tmp_path: Path) -> Iterator[Start]:
    """Start the example with the environment of a run; ends it after the test."""
    processes = []

    def run(epoch: int, **variables: str) -> subprocess.Popen[str]:
        document = tomllib.loads((EXAMPLE / "Sequence.toml").read_text())
        manifest = tmp_path / "manifest.json"
        manifest.write_text(json.dumps(document))
        environ = {
            "SEQUENCE_API_KEY": KEY,
            "SEQUENCE_API_URL": server.url,
            "SEQUENCE_RUN_ID": RUN_ID,
            "SEQUENCE_RUN_EPOCH": str(epoch),
            "SEQUENCE_STRATEGY_MANIFEST": str(manifest),
            **document["hosted"]["env"],
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-u", "main.py"],
            cwd=EXAMPLE,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_beats_to_its_end(start: Start) -> None:
    process = start(epoch=2, HEARTBEAT_BEATS="3", HEARTBEAT_INTERVAL_MS="1")
    out, err = process.communicate(timeout=20)
    records = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, err
    assert [record["event"] for record in records] == [
        *("started", "health", "beat", "beat", "beat", "done"),
    ]
    assert records[0]["run_id"] == RUN_ID
    assert records[1]["ok"] is True
    assert all(isinstance(record["ts"], float) for record in records)


def test_crashes_on_its_first_run_only(start: Start) -> None:
    process = start(epoch=1, HEARTBEAT_BEATS="1", HEARTBEAT_INTERVAL_MS="1")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "RuntimeError: crashing on the first run, as the manifest asks" in err


def test_says_goodbye_at_once(start: Start) -> None:
    process = start(epoch=2, HEARTBEAT_INTERVAL_MS="600000")
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "beat":
        pass
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert json.loads(out)["event"] == "goodbye"
    assert process.returncode == 0


def test_is_a_project_that_deploys() -> None:
    deployment = prepare_deployment(EXAMPLE, Overrides(env={}))
    assert deployment.body["name"] == "heartbeat"
    assert deployment.body["manifest"]["hosted"]["env"]["HEARTBEAT_CRASH_ON_FIRST_RUN"] == "true"
