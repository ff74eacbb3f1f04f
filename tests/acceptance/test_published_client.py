"""The client library as it is published, in its two versions that matter, unmodified."""

import base64
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .cut_wire import Cut, CutWire
from .dev_platform import DevPlatform
from .support import Api, artifact, clean_environ, said

VERSIONS = ("0.5.5", "0.5.7")

PROGRAM = """
import os, signal, sys, threading
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
print("epoch", os.environ["SEQUENCE_RUN_EPOCH"])
ended.wait()
print("goodbye")
"""

WHOLE_LIFE = """
import json, sys, time
import sequence_markets
from sequence_markets import Sequence, SequenceError

url, key, artifact = json.load(sys.stdin)
seq = Sequence(key, url)
seen = {"version": sequence_markets.__version__, "file": sequence_markets.__file__}

def until(look):
    deadline = time.monotonic() + 15
    while not look():
        if time.monotonic() > deadline:
            sys.exit("waited in vain")
        time.sleep(0.02)

def lines(run_id=None):
    return [entry["line"] for entry in seq.strategy_logs(strategy_id, run_id)["logs"]]

def status():
    return seq.strategy(strategy_id)["strategy"]["status"]

seen["health"] = seq.health()
created = seq.create_strategy(
    name="by-" + seen["version"], runtime="python", entrypoint="main.py",
    artifact_base64=artifact, manifest={"pairs": [1, 2]}, env={"LEVEL": "info"},
    secrets={"TOKEN": "not-to-be-seen"}, placement={"latency_target": ["kalshi"]},
    resources={"cpu_millis": 250, "memory_mb": 64}, risk={"max": 1}, sequence_api_key=key)
strategy_id = created["strategy"]["strategy_id"]
seen["created"] = created["strategy"]
seen["listed"] = [row["name"] for row in seq.strategies()["strategies"]]
seq.strategy_start(strategy_id)
until(lambda: "epoch 1" in lines())
seen["running"] = seq.strategy(strategy_id)["strategy"]
seq.strategy_stop(strategy_id)
until(lambda: status() == "stopped")
seq.strategy_start(strategy_id)
until(lambda: "epoch 2" in lines())
seq.strategy_stop(strategy_id)
until(lambda: status() == "stopped")
seen["latest"] = lines()
seen["first"] = lines(seen["running"]["run_id"])
seen["deleted"] = seq.strategy_delete(strategy_id)
try:
    seq.strategy(strategy_id)
except SequenceError as error:
    seen["after"] = [error.status, error.message]
try:
    Sequence("seq_live_" + "0" * 64, url).strategies()
except SequenceError as error:
    seen["wrong_key"] = [error.status, error.message]
print(json.dumps(seen))
"""

CREATE_AND_START = """
import json, sys
from sequence_markets import Sequence

url, key, artifact = json.load(sys.stdin)
created = Sequence(key, url).create_strategy(
    name="sent-twice", runtime="python", entrypoint="main.py", artifact_base64=artifact,
    start_immediately=True)
print(json.dumps(created["strategy"]))
"""


@pytest.fixture(scope="session", params=VERSIONS)
def client(request: pytest.FixtureRequest) -> Path:
    """A folder with one version of the client, installed by its name; kept for the next time."""
    folder = request.config.cache.mkdir("published-client") / request.param
    if not folder.exists():
        fresh = folder.with_name(f"{request.param}.{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        done = subprocess.run(
            [*pip, str(fresh), f"sequence-markets=={request.param}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"pip could not install the client: {done.stderr}"
        try:
            fresh.rename(folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            shutil.rmtree(fresh)  # another test process had it installed first
    return Path(folder)


def drive(client: Path, home: Path, script: str, api: Api) -> dict[str, Any]:
    """Run a script with this client and the standard library, nothing else; what it prints."""
    content = base64.b64encode(artifact({"main.py": PROGRAM})).decode()
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=clean_environ(home, PYTHONPATH=str(client)),
        cwd=home,
        input=json.dumps([api.url, api.key, content]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_the_client_drives_a_whole_life(
    client: Path, platform: DevPlatform, tmp_path: Path
) -> None:
    seen = drive(client, tmp_path, WHOLE_LIFE, platform.live)
    assert seen["file"].startswith(str(client))
    assert seen["version"] == client.name
    assert seen["health"] is True
    assert seen["created"]["status"] == "stopped"
    assert f"by-{client.name}" in seen["listed"]
    running = seen["running"]
    assert (running["status"], running["desired_state"]) == ("running", "running")
    assert (running["latency_target"], running["risk"]) == ("kalshi", {"max": 1})
    assert "not-to-be-seen" not in json.dumps(seen)
    assert "epoch 2" in seen["latest"]
    assert seen["first"][1:3] == ["epoch 1", "goodbye"]
    assert seen["deleted"] is None
    assert seen["after"][0] == 404
    assert seen["wrong_key"] == [401, "the API key is not known here, or it was revoked"]


@pytest.mark.parametrize("cut", list(Cut))
def test_a_create_that_the_client_repeats_starts_one_instance(
    client: Path, platform: DevPlatform, tmp_path: Path, cut: Cut
) -> None:
    api = platform.live
    with CutWire(platform.port, cut) as wire:
        row = drive(client, tmp_path, CREATE_AND_START, Api(wire.url, api.key))
    assert wire.creates == 2, "the client has sent it again"
    strategy_id = row["strategy_id"]
    try:
        api.wait_line(strategy_id, "epoch 1")
        assert [r["strategy_id"] for r in api.rows() if r["name"] == "sent-twice"] == [strategy_id]
        assert api.stopped(strategy_id)["restart_count"] == 0
        assert said(api.history(strategy_id)) == ["epoch 1", "goodbye"]
    finally:
        api.delete(strategy_id)
